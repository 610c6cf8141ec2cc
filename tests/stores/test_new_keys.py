"""Tables that stand with other keys than are declared now, with rows in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from tracebank.settings import Settings
from tracebank.stores.new_keys import move_to_new_keys
from tracebank.stores.opening import open_series
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.series import Column, SeriesTable

OLD = SeriesTable(
    name="drawn",
    doc="Texts by draw.",
    columns=(
        Column("study", pa.string(), "study"),
        Column("seed", pa.int64(), "draw"),
        Column("text", pa.string(), "t"),
    ),
    sort_key=("seed",),
    partition_by=("study",),
    unique_key=("seed",),
)
NEW = replace(
    OLD,
    columns=(
        OLD.columns[0],
        Column("seed", pa.int64(), "of the study", before=0),
        Column("draw", pa.int64(), "draw", before="seed"),
        OLD.columns[2],
    ),
    sort_key=("draw",),
    partition_by=("study", "seed"),
    unique_key=("draw",),
)
ROWS = pl.DataFrame({"study": ["a", "a", "b"], "seed": [1, 2, 7], "text": ["x", "y", "z"]})
MOVED = pl.DataFrame({"study": ["a", "a", "b"], "seed": [0, 0, 0], "draw": [1, 2, 7], "text": ["x", "y", "z"]})


@pytest.fixture(params=["duckdb", "chdb", "postgresql"])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> SeriesStore:
    """A store with the table as it was."""
    url = {"duckdb": f"duckdb:///{tmp_path}/s.duckdb", "chdb": f"chdb:///{tmp_path}/s"}.get(request.param)
    store = open_series(Settings.load(home=tmp_path, series_url=url or request.getfixturevalue("postgres_url")))
    store.create(OLD)
    store.append(OLD, ROWS)
    return store


def test_rows_move_into_a_table_with_the_new_keys(series: SeriesStore) -> None:
    move_to_new_keys(series, NEW)
    assert series.differences(NEW) == []
    assert series.read(NEW).sort("draw").equals(MOVED)
    assert [partition for partition, _ in series.partitions(NEW)] == [{"study": s, "seed": 0} for s in ("a", "b")]
    move_to_new_keys(series, NEW)
    assert series.read(NEW).height == 3
    assert series.differences(replace(NEW, name="drawn_moving"))[0].found == "absent", "nothing is left aside"


@pytest.mark.parametrize("at", ["drop", "replace"])
def test_a_move_that_broke_off_goes_on(series: SeriesStore, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = getattr(series, at), iter((False, True, False))

    def broken(*arguments: object) -> object:
        if next(calls, False):
            raise RuntimeError("killed")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(series, at, broken)
        with pytest.raises(RuntimeError, match="killed"):
            move_to_new_keys(series, NEW)
    move_to_new_keys(series, NEW)
    assert series.read(NEW).sort("draw").equals(MOVED)


def test_a_table_that_differs_otherwise_too_is_left_alone(series: SeriesStore) -> None:
    other = replace(NEW, columns=(*NEW.columns[:3], Column("text", pa.int64(), "t")))
    move_to_new_keys(series, other)
    assert series.read(OLD).sort("seed").equals(ROWS)
