"""The ledger: it tells of the rows that stand, whenever their writer was killed, and nobody sees what is pending."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select, text, update
from tests.upgraded import upgraded

from tracebank.cli.inspection import inspect
from tracebank.ledger import Ledger, _this_writer, data_version
from tracebank.metering import Meter
from tracebank.query.connection import connect
from tracebank.settings import Settings
from tracebank.stores.faults import FrameRefused, StoreError
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore
from tracebank.writing import Writing, content_of
from tracebank_schemas.ingest import Instrument
from tracebank_schemas.ledger import Materialization, PendingMaterialization
from tracebank_schemas.market import BARS

from .killed_materialisation import DAY, ROWS, bars, instrument, make

SCRIPT = Path(__file__).with_name("killed_materialisation.py")
A, B = ({"day": DAY, "symbol": symbol} for symbol in "AB")
POINTS = [
    ("intend", "before", 1, False),
    ("intend", "after", 1, False),
    ("commit", "after", 1, False),
    ("commit", "after", 2, False),
    ("settle", "before", 1, False),
    ("settle", "after", 1, False),
    ("commit", "after", 2, True),
    ("rows", "after", 1, True),
]
"""Steps, before or after which time of them the writer is killed, and whether it writes relational rows, too."""


@pytest.fixture
def duck(tmp_path: Path) -> Settings:
    """Settings of a home with DuckDB, which is quick to open."""
    settings = Settings.load(
        home=tmp_path, series_url=f"duckdb:///{tmp_path}/series.duckdb", relational_url=f"sqlite:///{tmp_path}/r.db"
    )
    return upgraded(settings)


@pytest.fixture
def relational(duck: Settings) -> Iterator[RelationalStore]:
    store = open_relational(duck)
    yield store
    store.close()


def _settings(home: Path, engine: str) -> dict[str, str]:
    url = f"duckdb:///{home}/series.duckdb" if engine == "duckdb" else f"chdb:///{home}/series"
    return {"home": str(home), "series_url": url, "relational_url": f"sqlite:///{home}/relational.db"}


def _version(version: int, *, relational: bool) -> str:
    from tracebank.content import ModelContent, SeriesContent
    from tracebank.ledger import Part

    parts = []
    for symbol in "AB":
        content = SeriesContent(BARS)
        content.update(bars(version, symbol))
        parts.append(Part("series.bars", {}, content.rows, content.digest))
    if relational:
        content_of_rows = ModelContent(Instrument.__table__)  # type: ignore[arg-type]
        content_of_rows.update([instrument(version)])
        parts.append(Part("relational.instruments", {}, 1, content_of_rows.digest))
    return data_version("code", {}, {}, content_of(parts))


@pytest.mark.parametrize(
    ("engine", "points"), [("duckdb", POINTS), ("chdb", [POINTS[1], POINTS[2], POINTS[4]])], ids=["duckdb", "chdb"]
)
def test_a_kill_at_any_step_leaves_rows_and_ledger_agreed(tmp_path: Path, engine: str, points: list[Any]) -> None:
    upgraded(Settings.load(**_settings(tmp_path / "upgraded", engine)))
    scenarios = []
    for at, (step, when, after, relational) in enumerate(points):
        shutil.copytree(
            tmp_path / "upgraded", tmp_path / str(at), symlinks=True, ignore=shutil.ignore_patterns("*.sock")
        )
        settings = _settings(tmp_path / str(at), engine)
        scenarios.append({"settings": settings, "step": step, "when": when, "after": after, "relational": relational})
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(scenarios)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for scenario in scenarios:
        _agreed(scenario)


def _agreed(scenario: dict[str, Any]) -> None:
    settings = Settings.load(**scenario["settings"])
    store, series = open_relational(settings), open_series(settings)
    try:
        ledger = Ledger(store, series)
        found = [series.size(BARS, partition).rows for partition in (A, B)]
        told = ledger.latest_version("market/bars", "all")
        whole = found == [ROWS[2]] * 2 and not scenario["relational"]
        assert told == _version(2 if whole else 1, relational=scenario["relational"]), scenario
        assert set(found) <= set(ROWS.values())
        with store.session() as session:
            assert session.scalar(select(func.count()).select_from(PendingMaterialization)) == 0
            assert session.scalar(select(func.count()).select_from(Materialization)) == 1 + whole
            ticks = session.scalars(select(Instrument.price_tick)).all()
        assert ticks == ([1.0] if scenario["relational"] else []), "with the entry, or not at all"
        standing = {one.partition: one for one in ledger.compare()}
        assert [one.stands for one in ledger.compare()] == found
        assert all(one.agrees for one in standing.values()) == (whole or found == [ROWS[1]] * 2)
    finally:
        store.close()


def test_a_pending_entry_is_no_materialisation_in_sql(duck: Settings, relational: RelationalStore) -> None:
    make(duck, 1)
    ledger = Ledger(relational, open_series(duck))
    with relational.session() as session:
        entry = session.scalars(select(Materialization)).one()
        session.expunge_all()
    entry.run_id = "another"
    ledger.intend(entry)
    told = connect(duck).sql("SELECT run_id FROM relational.materializations")
    assert told["run_id"].to_list() == ["run 1"]
    assert ledger.latest_version("market/bars", "all") == entry.data_version
    with relational.session() as session:
        assert session.scalars(select(PendingMaterialization.run_id)).all() == ["another"], "its writer lives"
    ledger.forget(entry)
    assert [(one.asset_key, one.settled) for one in ledger.recover()] == [("market/bars", True)], "its rows stand"
    assert sorted(connect(duck).sql("SELECT run_id FROM relational.materializations")["run_id"]) == ["another", "run 1"]


def test_a_writer_on_another_host_is_given_time(duck: Settings, relational: RelationalStore) -> None:
    make(duck, 1)
    ledger = Ledger(relational, open_series(duck))
    with relational.session() as session:
        entry = session.scalars(select(Materialization)).one().row()
        left = entry | {"run_id": "far", "writer": f"elsewhere|{_this_writer().split('|', 1)[1]}"}
        left["parts"] = [part | {"content": "0" * 16} for part in left["parts"]]
        relational.upsert(session, PendingMaterialization, [left | {"finished_at": datetime.now(UTC)}])
    assert ledger.recover() == [], "it may be about to commit"
    with relational.session() as session:
        session.execute(update(PendingMaterialization).values(finished_at=datetime.now(UTC) - timedelta(days=1)))
    assert [one.settled for one in ledger.recover()] == [False]


def test_what_fails_leaves_rows_and_ledger_as_they_were(duck: Settings, relational: RelationalStore) -> None:
    make(duck, 1)
    series = open_series(duck)
    before = series.read(BARS)

    def refused() -> None:
        with Writing(relational, series) as writing:
            rows = writing.into(BARS, A)
            rows.write(bars(2, "A"))
            rows.write(bars(2, "B"))

    with pytest.raises(FrameRefused, match="does not belong to partition"):
        refused()
    assert series.read(BARS).equals(before)
    with relational.session() as session:
        session.execute(text("DROP TABLE materializations"))
    with pytest.raises(StoreError, match="no such table: materializations"):
        make(duck, 2)
    assert series.size(BARS).rows == 2 * ROWS[2], "the rows had been committed when the ledger failed"
    with relational.connection() as connection:
        Materialization.__table__.create(connection)  # type: ignore[attr-defined]
    assert [one.settled for one in Ledger(relational, series).recover()] == [True]


def test_the_content_decides_whether_the_version_changes(duck: Settings) -> None:
    def made(frame: pl.DataFrame) -> str:
        store, series = open_relational(duck), open_series(duck)
        with Writing(store, series) as writing:
            rows = writing.into(BARS, A)
            for part in frame.iter_slices(7):
                rows.write(part)
            return content_of(writing.parts)

    plain = bars(1, "A")
    assert made(plain) == made(plain.sample(fraction=1.0, shuffle=True, seed=3))
    assert made(plain) != made(plain.with_columns(close=pl.col("close") + 1e-9))
    assert made(plain) != made(plain.with_columns(mean_spread=pl.lit(0.0)))
    swapped = plain.with_columns(volume=pl.when(pl.int_range(pl.len()) < 2).then(2.0).otherwise("volume"))
    moved = plain.with_columns(volume=pl.when(pl.int_range(pl.len()).is_between(1, 2)).then(2.0).otherwise("volume"))
    assert made(swapped) != made(moved), "the same values in other rows"


def test_doctor_shows_what_the_ledger_tells_and_what_stands(duck: Settings) -> None:
    make(duck, 1)
    assert [one.detail for one in inspect(duck) if one.name == "ledger"] == [
        "2 of 2 partitions hold the rows that the ledger tells of"
    ]
    open_series(duck).replace(BARS, B, bars(2, "B"))
    found = [(one.state, one.detail) for one in inspect(duck) if one.name == "ledger"]
    assert found == [
        ("broken", "market/bars all: 40 rows in the ledger, 60 in series.bars"),
        ("ok", "1 of 2 partitions hold the rows that the ledger tells of"),
    ]


def test_a_meter_can_be_read_on_the_way() -> None:
    meter = Meter()
    meter.read()
    first = meter.seconds, meter.finished_at
    meter.read()
    assert first[0] <= meter.seconds
    assert meter.started_at <= first[1] <= meter.finished_at
