"""Asset `explorer/curves`: lines out of the series store, of few enough points to be drawn on a page at once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, Final

import dagster as dg
from pydantic import Field
from sqlalchemy import and_, or_, select, true

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.explorer.curve_sources import (
    Partition,
    Reader,
    bars,
    each,
    equity,
    forecasts,
    rollout,
    training,
)
from tracebank_assets.explorer.fairness_curves import gaps
from tracebank_assets.explorer.keys import CURVES, GROUP
from tracebank_assets.fairness.keys import RUNS as FAIRNESS_RUNS
from tracebank_assets.forecasting.keys import BACKTESTS_KEY, FORECASTS_KEY, MODELS_KEY
from tracebank_assets.language_models.keys import BASE, NAMED, TUNED
from tracebank_assets.market.keys import market_key
from tracebank_assets.materialised import materialised
from tracebank_assets.safe_rl.keys import RUNS as RL_RUNS
from tracebank_assets.sparse_features.keys import DICTIONARIES
from tracebank_schemas.explorer import Curve
from tracebank_schemas.ledger import Materialization


@dataclass(frozen=True, slots=True)
class _Subject:
    """A table of the series store that lines are drawn of."""

    table: str
    assets: tuple[dg.AssetKey, ...]
    """Whose rows it holds."""
    read: Reader
    together: str | None = None
    """Key of the partition of which all are read together; None: each materialisation is read by itself."""


_SUBJECTS: Final = (
    _Subject("backtest_equity", (BACKTESTS_KEY,), each(equity)),
    _Subject("bars", (market_key("bars"),), each(bars)),
    _Subject("fairness_periods", (FAIRNESS_RUNS,), gaps, together="world"),
    _Subject("forecasts", (FORECASTS_KEY,), each(forecasts)),
    _Subject("rollout_steps", (RL_RUNS,), each(rollout)),
    _Subject("training_curves", (BASE, NAMED, TUNED, DICTIONARIES, MODELS_KEY, RL_RUNS), each(training)),
)


@dataclass(slots=True)
class _Unit:
    """Rows of the series store that are drawn together, and their version."""

    version: str
    partitions: list[Partition] = field(default_factory=list)


class CurvesConfig(dg.Config):
    """Which rows of the series store pages show."""

    newest: int = Field(
        default=200, ge=1, description="Materialisations of each table that lines are kept of, the newest."
    )


@artifact(
    GROUP,
    Curve,
    deps=[
        dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping())
        for key in sorted({key for subject in _SUBJECTS for key in subject.assets})
    ],
)
def curves(context: dg.AssetExecutionContext, config: CurvesConfig, stores: Stores) -> dg.MaterializeResult:
    """Equity, gaps, rollouts, trainings, forecasts and bars as lines of at most 500 points each.

    Only what other rows stand for by now is read again, or all where the code is another; what was removed goes.
    """
    code = context.assets_def.specs_by_key[CURVES].code_version or ""
    read = 0
    with materialised(context, stores) as made:
        all_again = _made_by(stores) != code
        for subject in _SUBJECTS:
            units = _units(stores, subject, config.newest)
            made.inputs[f"series.{subject.table}"] = _digest(sorted(units))
            standing = set() if all_again else _standing(stores, subject.table)
            behind = [unit for version, unit in units.items() if version not in standing]
            with track(f"curves of {subject.table}", len(behind)) as advance:
                rows = list(_rows(stores, subject, behind, advance))
            gone = true() if all_again else Curve.data_version.not_in(list(units))
            again = Curve.run.in_({row["run"] for row in rows})
            made.into(Curve, and_(Curve.subject == subject.table, or_(gone, again))).write(rows)
            read += len(behind)
    return made.result({"materialisations_read": read})


def _made_by(stores: Stores) -> str | None:
    """Version of the code that made the lines that stand."""
    newest = select(Materialization.code_version).where(Materialization.asset_key == "/".join(CURVES.path))
    with stores.relational.reading() as session:
        return session.scalar(newest.order_by(Materialization.finished_at.desc()).limit(1))


def _standing(stores: Stores, subject: str) -> set[str]:
    with stores.relational.reading() as session:
        return set(session.scalars(select(Curve.data_version).where(Curve.subject == subject).distinct()))


def _units(stores: Stores, subject: _Subject, newest: int) -> dict[str, _Unit]:
    """What stands in a table by the ledger, by its version, the newest last.

    Args:
        stores: where the ledger is.
        subject: the table.
        newest: how many materialisations count.
    """
    found: dict[str, tuple[str, Partition]] = {}
    told = f"series.{subject.table}"
    query = select(Materialization.data_version, Materialization.parts).where(
        Materialization.asset_key.in_("/".join(key.path) for key in subject.assets)
    )
    with stores.relational.reading() as session:
        for version, parts in session.execute(query.order_by(Materialization.finished_at)):
            for part in parts:
                key = json.dumps(part["partition"], sort_keys=True)
                if part["table"] == told:
                    found.pop(key, None)
                    if part["rows"]:
                        found[key] = version, _partition(part["partition"])
    units: dict[str, _Unit] = {}
    for version, partition in found.values():
        units.setdefault(version, _Unit(version)).partitions.append(partition)
    kept = dict(list(units.items())[-newest:])
    return kept if subject.together is None else _together(kept, subject.together)


def _together(units: Mapping[str, _Unit], key: str) -> dict[str, _Unit]:
    by_value: dict[Any, list[tuple[str, Partition]]] = {}
    for unit in units.values():
        for partition in unit.partitions:
            by_value.setdefault(partition[key], []).append((unit.version, partition))
    joined = (
        _Unit(_digest(sorted(version for version, _ in told)), [partition for _, partition in told])
        for told in by_value.values()
    )
    return {unit.version: unit for unit in joined}


def _partition(told: Mapping[str, Any]) -> Partition:
    """A partition as the ledger has it, its day a date."""
    return {key: date.fromisoformat(value) if key == "day" else value for key, value in told.items()}


def _rows(stores: Stores, subject: _Subject, units: list[_Unit], advance: Any) -> Iterator[dict[str, Any]]:
    for unit in units:
        places: dict[str, int] = {}
        for drawn in subject.read(stores, unit.partitions):
            places[drawn.run] = places.get(drawn.run, -1) + 1
            yield drawn.row(subject.table, places[drawn.run], unit.version)
        advance(1)


def _digest(versions: list[str]) -> str:
    return sha256("\n".join(versions).encode()).hexdigest()[:16]
