"""Books over midnight by the public command's function: whatever came first, a day stands on the book before it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import select

from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank.stores.relational import RelationalStore
from tracebank_assets.market import catalogue
from tracebank_assets.market.assets import market_tables
from tracebank_assets.market.checks import book_check
from tracebank_assets.market.closing_books import outdated_days
from tracebank_assets.market.ingestion import ingest_paths
from tracebank_assets.runs import RunFailed
from tracebank_schemas.ingest import ClosingBook
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import BOOK

FIRST = date(2024, 3, 1)
NS = 10**9


def _day(number: int) -> date:
    return FIRST + timedelta(days=number)


def _lines(number: int, *, gap: int = 0, snapshot: bool = False) -> Iterable[str]:
    """Three updates of a day, whose ids go on where those of the day before ended."""
    midnight = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) + 86_400 * number
    last = 100 * (number + 1)
    if snapshot:
        levels = {"bids": [["50.0", "1"], ["49.0", "1"]], "asks": [["51.0", "1"], ["52.0", "1"]]}
        yield f"{midnight * NS} " + json.dumps({"lastUpdateId": last - 1, "T": midnight * 1000, **levels})
    for step in range(3):
        first = last + 10 * step + gap * (step == 0)
        data = {
            "e": "depthUpdate",
            "s": "BTCUSDT",
            "E": (midnight + 60 + step) * 1000,
            "T": (midnight + 60 + step) * 1000,
        }
        end = last + 10 * step + 9 if step < 2 else last + 99
        ids = {"U": first, "u": end, "pu": first - 1, "b": [["49.5", str(number + step + 2)]], "a": []}
        yield f"{(midnight + 60 + step) * NS} " + json.dumps({"stream": "btcusdt@depth", "data": data | ids})


def _file(folder: Path, number: int, **how: int) -> Path:
    file = folder / f"day{number}{''.join(how)}.log"
    file.write_text("\n".join(_lines(number, **how)))  # type: ignore[arg-type]
    return file


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    """Files of three days; the first begins with a snapshot, the others go on."""
    return [_file(tmp_path, number, **({"snapshot": 1} if number == 0 else {})) for number in range(3)]


def _book(home: Settings) -> pl.DataFrame:
    return open_series(home).read(BOOK).sort("seq", "ts")


def _states(home: Settings) -> dict[date, list[str]]:
    rows = _book(home).group_by(pl.col("ts").dt.date(), maintain_order=True).agg(pl.col("state").unique())
    return dict(rows.iter_rows())


def _runs(relational: RelationalStore) -> list[str]:
    with relational.session() as session:
        entries = select(Materialization).where(Materialization.asset_key == "market/book")
        return [entry.partition[:10] for entry in session.scalars(entries.order_by(Materialization.finished_at))]


def test_files_of_days_in_any_order_give_the_rows_of_all_at_once(
    home: Settings, relational: RelationalStore, days: list[Path]
) -> None:
    ingest_paths(home, [days[2], days[1]])
    assert _states(home) == {_day(1): ["partial"], _day(2): ["partial"]}
    ingest_paths(home, [days[0]])
    assert _states(home) == {_day(number): ["whole"] for number in range(3)}
    assert outdated_days(relational) == []
    scattered = _book(home)
    ingest_paths(home, days)
    assert _book(home).equals(scattered)
    days_loaded = [_day(number).isoformat() for number in (1, 2, 0, 1, 2, 0, 1, 2)]
    assert _runs(relational) == days_loaded, "when nothing changes no day is loaded twice"
    with relational.session() as session:
        entries = select(Materialization).where(Materialization.partition == f"{_day(1)}|BTCUSDT")
        ordered = entries.where(Materialization.asset_key == "market/book").order_by(Materialization.finished_at)
        alone, standing, again = session.scalars(ordered)
        closing = session.get_one(ClosingBook, ("binance_usdm", "BTCUSDT", _day(0)))
        assert standing.input_versions["closing book of binance_usdm"] == closing.content
        assert len(alone.input_versions) == 1, "the day alone, not its neighbour"
        assert alone.data_version != standing.data_version == again.data_version


def test_the_chain_stops_where_a_closing_book_stays_as_it_was(
    home: Settings, relational: RelationalStore, days: list[Path], tmp_path: Path
) -> None:
    ingest_paths(home, [_file(tmp_path, 1, snapshot=1), days[2]])
    before = len(_runs(relational))
    ingest_paths(home, [days[0]])
    assert _runs(relational)[before:] == [str(_day(0)), str(_day(1))], "day 1 has a snapshot of its own"


def test_a_file_that_goes_over_midnight_stands_on_the_book_too_but_none_does_over_a_gap(
    home: Settings, tmp_path: Path
) -> None:
    lines = [*_lines(0, snapshot=True), *_lines(1)]
    parts = [tmp_path / "one.log", tmp_path / "two.log"]
    parts[0].write_text("\n".join(lines[:2]))
    parts[1].write_text("\n".join(lines[2:]))
    ingest_paths(home, [parts[1], _file(tmp_path, 2, gap=4)])
    ingest_paths(home, [parts[0]])
    assert _states(home) == {_day(0): ["whole"], _day(1): ["whole"], _day(2): ["partial"]}


def test_a_load_that_was_cut_short_is_done_again_by_the_next_command(
    home: Settings, relational: RelationalStore, days: list[Path]
) -> None:
    ingest_paths(home, [days[1]])
    settle = catalogue.settle

    def dies_on_the_second_day(*args: object) -> None:
        if _day(1) in args:
            raise OSError("cut short")
        settle(*args)  # type: ignore[arg-type]

    with mock.patch.object(catalogue, "settle", dies_on_the_second_day), pytest.raises(RunFailed, match="cut short"):
        ingest_paths(home, [days[0]])
    assert outdated_days(relational) == [(_day(1), "BTCUSDT")]
    ingest_paths(home, [days[0]])
    assert outdated_days(relational) == []
    assert _states(home) == {_day(0): ["whole"], _day(1): ["whole"]}


def test_a_day_whose_file_is_gone_is_told_and_does_not_keep_others_out(
    home: Settings, days: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    ingest_paths(home, [days[1]])
    moved = days[1].rename(days[1].with_name("moved.log"))
    with caplog.at_level(logging.WARNING):
        ingest_paths(home, [days[0]])
    assert (
        f"{_day(1)} of BTCUSDT could now stand on the closing book before it, but {days[1]} is not there" in caplog.text
    )
    ingest_paths(home, [moved])
    assert _states(home) == {_day(0): ["whole"], _day(1): ["whole"]}


def test_the_check_of_the_book_tells_the_rows_that_are_not_whole() -> None:
    sound, poor = book_check({"whole": 995, "partial": 4, "stale": 1}), book_check({"partial": 3})
    assert (sound.passed, poor.passed, poor.severity) == (True, False, dg.AssetCheckSeverity.WARN)
    told = [sound.metadata[name].value for name in ("share_not_whole", "whole", "partial", "stale")]
    assert told == [pytest.approx(0.005), 995, 4, 1]
    assert book_check({}).passed
    key = dg.AssetKey(["market", "book"])
    assert "whole_rows" in {spec.name for spec in market_tables.check_specs if spec.asset_key == key}
    assert "whole_rows" not in {spec.name for spec in market_tables.check_specs if spec.asset_key != key}
