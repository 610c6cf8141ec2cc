"""Pages of the ledger: which rows came from which run of which code, and what they were made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from tracebank.explorer.charts import Line, line_chart
from tracebank.explorer.pages import PAGE, page, sql_text
from tracebank.explorer.state import Missing, explorer
from tracebank.explorer.unit_reads import named
from tracebank.explorer.view_charts import UTC, Drawn
from tracebank_schemas.ledger import Materialization

router = APIRouter(include_in_schema=False)

Row = Materialization
_MANY: Final = 200
"""Materialisations of one history."""
_LINES: Final = 8
"""Partitions that a plot has a line of: those with the most materialisations."""
_COSTS: Final = {
    "rows": ("Rows", "rows", 1.0),
    "seconds": ("Seconds", "s", 1.0),
    "peak_memory": ("Peak memory", "MiB", 2.0**20),
    "bytes": ("Bytes on disk", "MiB", 2.0**20),
}
"""What a history plots: title, unit, and what the ledger's number is divided by."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a materialisation, and whether it has another version by now."""

    name: str
    version: str
    asset: str | None
    """Its key in the ledger; None where it is no asset's."""
    partition: str
    newest: str | None
    """Its newest version there; None where that is not known."""

    @property
    def is_older(self) -> bool:
        """Whether what was made has to be made again to be of what stands."""
        return self.newest is not None and self.newest != self.version


@dataclass(frozen=True, slots=True)
class Newest:
    """A line of the ledger."""

    entry: Materialization
    inputs: Sequence[Input]

    @property
    def older(self) -> list[str]:
        """Names of inputs that have newer versions."""
        return [one.name for one in self.inputs if one.is_older]


@router.get("/ledger")
def ledger(
    request: Request,
    group: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> HTMLResponse:
    """The newest materialisation of every asset and partition, the youngest first.

    Raises:
        Missing: the ledger has nothing of the group.
    """
    with explorer(request).relational.reading() as session:
        keys = session.scalars(select(Row.asset_key).distinct().order_by(Row.asset_key)).all()
        groups = sorted({key.partition("/")[0] for key in keys})
        if group and group not in groups:
            raise Missing(named("group", group, groups))
        newest = _newest(group)
        total = session.scalar(select(func.count()).select_from(newest.subquery())) or 0
        entries = session.scalars(newest.limit(PAGE).offset(offset)).all()
        rows = [Newest(entry, inputs) for entry, inputs in _with_inputs(session, entries)]
        session.expunge_all()
    where = f"\nWHERE m.asset_key LIKE {sql_text(group + '/%')}" if group else ""
    sql = (
        "SELECT m.asset_key, m.partition, max(m.finished_at) AS newest, count(*) AS materialisations\n"
        f"FROM relational.materializations AS m{where}\nGROUP BY m.asset_key, m.partition\nORDER BY 3 DESC"
    )
    return page(
        request, "ledger.html", rows=rows, groups=groups, group=group, total=total, offset=offset, size=PAGE, sql=sql
    )


@router.get("/ledger/{group}/{asset}")
def history(
    request: Request, group: str, asset: str, partition: Annotated[str | None, Query(max_length=255)] = None
) -> HTMLResponse:
    """What was materialised of one asset, or of one partition of it, the youngest first.

    Raises:
        Missing: the ledger has nothing of it.
    """
    key = f"{group}/{asset}"
    query = select(Row).where(Row.asset_key == key).order_by(Row.finished_at.desc(), Row.run_id).limit(_MANY)
    with explorer(request).relational.reading() as session:
        partitions = session.scalars(
            select(Row.partition).where(Row.asset_key == key).distinct().order_by(Row.partition)
        ).all()
        if not partitions:
            known = session.scalars(select(Row.asset_key).distinct()).all()
            raise Missing(named("asset", key, [one for one in known if one.startswith(f"{group}/")] or known))
        if partition is not None:
            if partition not in partitions:
                raise Missing(named(f"partition of {key}", partition, partitions))
            query = query.where(Row.partition == partition)
        rows = [Newest(entry, inputs) for entry, inputs in _with_inputs(session, session.scalars(query).all())]
        total = session.scalar(select(func.count()).select_from(query.limit(None).subquery())) or 0
        session.expunge_all()
    where = f" AND m.partition = {sql_text(partition)}" if partition is not None else ""
    sql = (
        "SELECT m.finished_at, m.partition, m.run_id, m.code_version, m.data_version, m.rows, m.bytes, m.seconds,\n"
        "    m.peak_memory, m.device\nFROM relational.materializations AS m\n"
        f"WHERE m.asset_key = {sql_text(key)}{where}\nORDER BY m.finished_at DESC"
    )
    return page(
        request,
        "ledger_asset.html",
        key=key,
        group=group,
        rows=rows,
        partitions=partitions,
        partition=partition,
        charts=_charts([row.entry for row in rows]),
        total=total,
        dagster=explorer(request).settings.dagster_url,
        sql=sql,
    )


def _newest(group: str = "") -> Select[Materialization]:
    """The newest entry of every asset and partition, the youngest first."""
    ranked = _ranked().where(Row.asset_key.startswith(f"{group}/", autoescape=True)) if group else _ranked()
    told = ranked.subquery()
    newest = aliased(Row, told)
    order = (newest.finished_at.desc(), newest.asset_key, newest.partition)
    return select(newest).where(told.c.place == 1).order_by(*order)


def _ranked() -> Select[Materialization, int]:
    order = (Row.finished_at.desc(), Row.run_id)
    place = func.row_number().over(partition_by=(Row.asset_key, Row.partition), order_by=order)
    return select(Row, place.label("place"))


def _with_inputs(session: Session, entries: Sequence[Materialization]) -> Iterator[tuple[Materialization, list[Input]]]:
    """Entries with their inputs.

    An input is told by name and version; which partition it was is looked up in the ledger by both, so that it is held
    against the newest of that partition. Where no entry has that version nothing is said of newer ones.
    """
    keys = set(session.scalars(select(Row.asset_key).distinct()))
    told = {(name, version) for entry in entries for name, version in entry.input_versions.items() if name in keys}
    names, versions = {name for name, _ in told}, {version for _, version in told}
    where = (Row.asset_key.in_(names), Row.data_version.in_(versions))
    partitions: dict[tuple[str, str], list[str]] = {}
    for key, version, partition in session.execute(
        select(Row.asset_key, Row.data_version, Row.partition).where(*where).distinct().order_by(Row.partition)
    ):
        partitions.setdefault((key, version), []).append(partition)
    known = {partition for found in partitions.values() for partition in found}
    ranked = _ranked().where(Row.asset_key.in_(names), Row.partition.in_(known)).subquery()
    columns = (ranked.c.asset_key, ranked.c.partition, ranked.c.data_version)
    newest = {(key, partition): version for key, partition, version in session.execute(
        select(*columns).where(ranked.c.place == 1)
    )}  # fmt: skip
    for entry in entries:
        yield entry, [_input(name, version, partitions, newest) for name, version in entry.input_versions.items()]


def _input(
    name: str,
    version: str,
    partitions: Mapping[tuple[str, str], Sequence[str]],
    newest: Mapping[tuple[str, str], str],
) -> Input:
    found = partitions.get((name, version), ())
    # One version may stand in several partitions: it is old where it is in all of them.
    fresh = next((one for one in found if newest[name, one] == version), found[0] if found else "")
    return Input(name, version, name if found else None, fresh, newest[name, fresh] if found else None)


def _charts(entries: Sequence[Materialization]) -> list[Drawn]:
    """What materialisations cost over time, a line for each partition; none of fewer than two."""
    if len(entries) < 2:
        return []
    by_partition: dict[str, list[Materialization]] = {}
    for entry in reversed(entries):
        by_partition.setdefault(entry.partition, []).append(entry)
    lines = dict(sorted(by_partition.items(), key=lambda told: -len(told[1]))[:_LINES])
    drawn = []
    for name, (title, unit, size) in _COSTS.items():
        told = [
            Line(
                partition or "all",
                [entry.finished_at.timestamp() for entry in found],
                [getattr(entry, name) / size for entry in found],
            )
            for partition, found in lines.items()
        ]
        drawn.append(Drawn(title, line_chart(told, UTC, unit, title, time_x=True)))
    return drawn
