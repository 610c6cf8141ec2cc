"""Every column type goes into the embedded store and comes back bit by bit, or is refused before a row is written."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import FrameRefused
from tracebank_schemas.series import _TYPES, TIMESTAMP, Column, SeriesTable

INT64 = 2**63
EVERY = SeriesTable(
    "every",
    "a column of every type, with and without nulls, and text that repeats",
    (
        Column("row", pa.int64(), "number"),
        *(
            Column(f"c{at}{'n' if nullable else ''}", kind, "value", nullable=nullable)
            for at, kind in enumerate(_TYPES)
            for nullable in (False, True)
            if not (nullable and pa.types.is_list(kind))
        ),
        Column("again", pa.string(), "text", repeated=True),
        Column("againn", pa.string(), "text", repeated=True, nullable=True),
    ),
    ("row",),
    (),
)
_SPECIAL = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -1.7976931348623157e308, 0.1]
_TEXT = st.one_of(
    st.sampled_from(["", "\0", "a\0b", "é漢😀", "\u202e", "'\\\t\n", "NULL", "x" * 70_000]),
    st.text(max_size=20),
)
_SECONDS = [-INT64, -INT64 + 1, -2_208_988_800 * 10**9 - 1, -1, 0, 1, 4_294_967_296 * 10**9, INT64 - 1]


def _floats(width: int) -> st.SearchStrategy[float]:
    special = [struct.unpack("f", struct.pack("f", v))[0] if width == 32 and abs(v) < 1e38 else v for v in _SPECIAL]
    fit = [v for v in special if width == 64 or not math.isfinite(v) or abs(v) < 1e38]
    return st.one_of(st.sampled_from(fit), st.floats(width=width))


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if kind == TIMESTAMP:
        return st.one_of(st.sampled_from(_SECONDS), st.integers(-INT64, INT64 - 1))
    if kind == pa.date32():
        return st.one_of(
            st.sampled_from([-719_528, 2_932_896, -1, 0, -25_567, 120_529]), st.integers(-719_528, 2_932_896)
        )
    if kind == pa.bool_():
        return st.booleans()
    if pa.types.is_integer(kind):
        bits, low = kind.bit_width, 0 if pa.types.is_unsigned_integer(kind) else -(2 ** (kind.bit_width - 1))
        high = low + 2**bits - 1
        return st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high))
    if pa.types.is_floating(kind):
        return _floats(kind.bit_width)
    if pa.types.is_list(kind):
        return st.lists(_floats(kind.value_type.bit_width), max_size=4)
    return _TEXT


def _array(kind: pa.DataType, values: list[Any]) -> pa.Array[Any]:
    if kind == TIMESTAMP:
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, pa.int32()).cast(kind) if kind == pa.date32() else pa.array(values, kind)


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 8))
    arrays = {}
    for column in EVERY.columns[1:]:
        values = _values(column.type)
        each = st.one_of(st.none(), values) if column.nullable else values
        arrays[column.name] = _array(column.type, draw(st.lists(each, min_size=rows, max_size=rows)))
    return pa.table({"row": pa.array(range(rows), pa.int64()), **arrays})


def _bits(table: pa.Table) -> list[Any]:
    """Values in which NaN equals itself and -0.0 is not 0.0. The payload of a NaN is not kept by any of the formats."""

    def of(value: Any) -> Any:
        if isinstance(value, list):
            return [of(item) for item in value]
        return "nan" if isinstance(value, float) and math.isnan(value) else repr(value)

    plain = [
        column.cast(pa.int64())
        if column.type == TIMESTAMP
        else column.cast(pa.int32())
        if column.type == pa.date32()
        else column
        for column in table.columns
    ]
    return [[of(value) for value in column.to_pylist()] for column in plain]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClickHouseStore:
    return ClickHouseStore(make_url(f"chdb:///{tmp_path_factory.mktemp('round') / 'series'}"))


@pytest.fixture(scope="module", autouse=True)
def _kept_open(store: ClickHouseStore) -> Iterator[None]:
    """One session around all: an opening each time is what the other tests try."""
    with store.session():
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(table=_tables())
def test_every_type_comes_back_as_it_went(store: ClickHouseStore, table: pa.Table) -> None:
    store.replace(EVERY, {}, table)
    found = store.read(EVERY)
    assert found.schema == EVERY.polars_schema
    assert _bits(found.to_arrow().cast(table.schema)) == _bits(table)
    batches = list(store.read_batches(EVERY))
    if table.num_rows:
        assert _bits(pa.Table.from_batches(batches).cast(table.schema)) == _bits(table)


WORDS = ["a", "b", None, "a", "нет", ""]
TEXT = SeriesTable(
    "text", "text", (Column("row", pa.int64(), "number"), Column("v", pa.string(), "text", nullable=True)), ("row",), ()
)


def _text(values: Any) -> pa.Table:
    return pa.table({"row": pa.array(range(6), pa.int64()), "v": values})


_TWO, _FOUR = pa.array(WORDS[:2]), pa.array(WORDS[2:])
LAYOUTS: dict[str, Any] = {
    "string": _text(pa.array(WORDS)),
    "large": _text(pa.array(WORDS, pa.large_string())),
    "view": _text(pa.array(WORDS, pa.string_view())),
    "dictionary": _text(pa.array(WORDS).dictionary_encode()),
    "chunks": _text(pa.chunked_array([_TWO, pa.array([], pa.string()), _FOUR])),
    "dictionaries": _text(pa.chunked_array([_TWO.dictionary_encode(), _FOUR.dictionary_encode()])),
    "slice": _text(pa.array([None, *WORDS, None])[1:7]),
    "batch": _text(pa.array(WORDS)).to_batches()[0],
    "polars": pl.DataFrame({"row": range(6), "v": WORDS}),
    "categorical": pl.DataFrame({"row": range(6), "v": pl.Series(WORDS, dtype=pl.Categorical)}),
    "enum": pl.DataFrame({"row": range(6), "v": pl.Series(WORDS, dtype=pl.Enum(["a", "b", "нет", ""]))}),
    "polars chunks": pl.concat([pl.DataFrame(_text(WORDS))[:2], pl.DataFrame(_text(WORDS))[2:]], rechunk=False),
    "other order": pl.DataFrame({"v": WORDS, "row": range(6)}),
}


@pytest.mark.parametrize("frame", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_of_text(store: ClickHouseStore, frame: Any) -> None:
    store.replace(TEXT, {}, frame)
    assert_frame_equal(store.read(TEXT), pl.DataFrame({"row": range(6), "v": WORDS}))


LISTS = SeriesTable(
    "lists", "lists", (Column("row", pa.int64(), "n"), Column("v", pa.list_(pa.float64()), "v")), ("row",), ()
)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 2)], ids=str
)
def test_every_layout_of_lists(store: ClickHouseStore, kind: pa.DataType) -> None:
    values = [[1.0, -0.0], [math.inf, 2.0]]
    store.replace(LISTS, {}, pa.table({"row": [0, 1], "v": pa.array(values, kind)}))
    assert store.read(LISTS)["v"].to_list() == values
    array = pl.Series(values, dtype=pl.Array(pl.Float64, 2))
    store.replace(LISTS, {}, pl.DataFrame({"row": [0, 1], "v": array}))
    assert store.read(LISTS)["v"].to_list() == values


def test_a_null_in_a_list_is_refused(store: ClickHouseStore) -> None:
    """The engine would make a zero of it."""
    with pytest.raises(FrameRefused, match="column v has 1 nulls in its lists and may have none"):
        store.replace(LISTS, {}, pa.table({"row": [0, 1], "v": [[1.0, None], [2.0]]}))


def test_a_long_text_and_many_of_them(store: ClickHouseStore) -> None:
    values = ["x" * 3_000_000, "y" * 3_000_000, None, "", "z", "é" * 1_000_000]
    store.replace(TEXT, {}, _text(values))
    assert store.read(TEXT)["v"].to_list() == values


DATES = SeriesTable("dates", "dates", (Column("row", pa.int64(), "n"), Column("d", pa.date32(), "d")), ("row",), ())


@pytest.mark.parametrize("days", [-719_529, 2_932_897, -(2**31), 2**31 - 1])
def test_a_date_that_the_engine_does_not_hold_is_refused(store: ClickHouseStore, days: int) -> None:
    frame = pa.table({"row": [0, 1], "d": pa.array([0, days], pa.int32()).cast(pa.date32())})
    with pytest.raises(FrameRefused, match="column d has values beyond 0000-01-01 to 9999-12-31; nothing was written"):
        store.replace(DATES, {}, frame)


def test_dates_at_the_edges_are_what_they_say(store: ClickHouseStore) -> None:
    edges = [date.min, date(1899, 12, 31), date(1969, 12, 31), date(2149, 6, 7), date(2299, 12, 31), date.max]
    store.replace(DATES, {}, pl.DataFrame({"row": range(6), "d": edges}))
    assert store.read(DATES)["d"].to_list() == edges
    text = store.query("SELECT toString(d) AS t FROM dates ORDER BY row")["t"].to_pylist()
    assert text == [edge.isoformat() for edge in edges]


def test_time_stamps_at_the_edges_are_what_they_say_to_the_engine(store: ClickHouseStore) -> None:
    table = SeriesTable("stamps", "s", (Column("ts", TIMESTAMP, "when"),), ("ts",), ())
    stamps = np.array([-INT64 + 1, -2_208_988_800 * 10**9 - 1, -1, 0, 1, INT64 - 1])
    store.replace(table, {}, pl.DataFrame({"ts": stamps}).cast({"ts": pl.Datetime("ns", "UTC")}))
    text = store.query("SELECT toString(ts) AS t FROM stamps ORDER BY ts")["t"].to_pylist()
    assert text == [str(np.datetime64(int(stamp), "ns")).replace("T", " ") for stamp in stamps]


def test_a_file_like_path_is_text_like_any_other(store: ClickHouseStore, tmp_path: Path) -> None:
    store.replace(TEXT, {}, _text([str(tmp_path), "'); DROP TABLE x; --", "`", "{d:String}", "%s", "$1"]))
    assert store.read(TEXT)["v"].to_list()[1:] == ["'); DROP TABLE x; --", "`", "{d:String}", "%s", "$1"]
