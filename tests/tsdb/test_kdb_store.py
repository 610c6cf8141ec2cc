"""The kdb+ store without a licence: what is sent to q, and rows on their way there and back over the wire format."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.stores.faults import FrameRefused, SchemaDrift, StoreError
from tracebank.tables.frames import fitted
from tracebank_benchmarks.tsdb.engines.declared_beside import declaration
from tracebank_benchmarks.tsdb.engines.kdb.connection import NULL_LONG, KdbConnection, arrow, pykx
from tracebank_benchmarks.tsdb.engines.kdb.rows import Rows
from tracebank_benchmarks.tsdb.engines.kdb.store import KdbStore, definitions
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable
from tracebank_schemas.tsdb_benchmark import TRADES

from .kdb_wire import KDB_EPOCH, Mixed, Timestamps, Vector, kdb_double

DAY = date(2024, 8, 8)
BTC = {"day": DAY, "symbol": "BTC"}
TICKS = SeriesTable(
    name="ticks",
    doc="Rows like the platform's own.",
    columns=(
        Column("ts", TIMESTAMP, "when", "UTC"),
        Column("symbol", pa.string(), "what", repeated=True),
        Column("seq", pa.int64(), "number"),
        Column("price", pa.float64(), "price", "USD"),
        Column("note", pa.string(), "remark", nullable=True),
    ),
    sort_key=("symbol", "ts", "seq"),
    partition_by=(Day("ts"), "symbol"),
)
GAINED = dataclasses.replace(TICKS, columns=(*TICKS.columns, Column("qty", pa.float64(), "quantity", nullable=True)))
DAY_NUMBER = (DAY - date(2000, 1, 1)).days
KINDS = SeriesTable(
    "kinds",
    "Every type.",
    (
        Column("ts", TIMESTAMP, "when"),
        Column("flag", pa.bool_(), "", nullable=True),
        Column("tiny", pa.int8(), ""),
        Column("byte", pa.uint8(), ""),
        Column("small", pa.int16(), ""),
        Column("word", pa.uint16(), "", nullable=True),
        Column("int", pa.int32(), ""),
        Column("count", pa.uint32(), ""),
        Column("long", pa.int64(), "", nullable=True),
        Column("huge", pa.uint64(), ""),
        Column("real", pa.float32(), ""),
        Column("float", pa.float64(), "", nullable=True),
        Column("day", pa.date32(), ""),
        Column("name", pa.string(), "", repeated=True),
        Column("note", pa.string(), "", nullable=True),
        Column("v", pa.list_(pa.float32()), ""),
        Column("w", pa.list_(pa.float64()), ""),
    ),
    ("ts",),
    (),
)
ROWS = pl.DataFrame(
    {
        "ts": [0, 1_723_075_200_123_456_789, -5],
        "flag": [True, None, False],
        "tiny": [-128, 0, 127],
        "byte": [255, 0, 1],
        "small": [-(2**15), 0, 2**15 - 1],
        "word": [None, 0, 2**16 - 1],
        "int": [-(2**31), 0, 2**31 - 1],
        "count": [2**32 - 1, 0, 1],
        "long": [None, NULL_LONG, 2**63 - 1],
        "huge": [2**63 - 1, 0, 1],
        "real": [1.5, float("nan"), float("inf")],
        "float": [None, float("nan"), -0.0],
        "day": [date(2024, 8, 8), date(1969, 12, 31), date(2200, 1, 1)],
        "name": ["BTC-USD", "", "Ç two"],
        "note": [None, "", 'a"b\\ line\nend'],
        "v": [[1.5, 2.5], [], [3.5]],
        "w": [[], [], []],
    },
    schema_overrides={"v": pl.List(pl.Float32), "w": pl.List(pl.Float64), "huge": pl.UInt64},
).cast(dict(KINDS.polars_schema))  # type: ignore[arg-type]


def ticks(rows: int, *, first: int = 0, day: date = DAY) -> pl.DataFrame:
    """Rows a microsecond apart, in one partition."""
    stamps = [datetime(day.year, day.month, day.day, tzinfo=UTC)] * rows
    frame = pl.DataFrame({"ts": pl.Series(stamps, dtype=pl.Datetime("ns", "UTC")), "seq": range(first, first + rows)})
    frame = frame.with_columns(ts=pl.col("ts") + pl.duration(microseconds="seq"), symbol=pl.lit("BTC"), price=1.0)
    frame = frame.with_columns(note=pl.lit(None, pl.String)).select(TICKS.arrow_schema.names)
    return frame.cast(TICKS.polars_schema)  # type: ignore[arg-type]


class Q:
    """Stands in for a connection: keeps what is asked, answers by the function's name, remembers declarations."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = {".tb.size": [10, 4, 80, 1000], **answers}
        self.declared: dict[str, bytes] = {}
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __call__(self, text: str, *arguments: Any) -> Any:
        self.asked.append((text, arguments))
        if text == ".tb.create":
            self.declared[arguments[1]] = arguments[2]
        if text == ".tb.declared":
            return pykx().toq(self.declared.get(arguments[1], b""))
        return pykx().toq(self.answers.get(text, b""))

    def named(self, function: str) -> list[tuple[Any, ...]]:
        return [arguments[1:] for text, arguments in self.asked if text == f".tb.{function}"]

    @property
    def order(self) -> list[str]:
        return [text.removeprefix(".tb.") for text, arguments in self.asked if arguments and text.startswith(".tb.")]


def opened(*tables: SeriesTable, **answers: Any) -> tuple[KdbStore, Q]:
    """A store that asks a stand-in, in which tables stand."""
    q = Q({f".tb.{name}": value for name, value in answers.items()})
    q.declared |= {table.name: declaration(table).encode() for table in tables}
    return KdbStore(make_url("kdb://h/data/kdb"), connection=KdbConnection(q, lambda: None, "nowhere")), q


@contextmanager
def over_the_wire(answer: Any) -> Iterator[tuple[KdbStore, list[Any]]]:
    with kdb_double(answer) as double:
        store = KdbStore(make_url(f"kdb://127.0.0.1:{double.port}/data/kdb"))
        yield store, double.asked
        store.close()


# --- q's side, as far as text goes ------------------------------------------------------------------------------------


def test_the_functions_are_one_line_each_and_their_brackets_close() -> None:
    texts = definitions()
    names = [text.partition(":")[0] for text in texts]
    assert len(set(names)) == len(names)
    for text in texts:
        assert "\n" not in text
        assert text.startswith(".tb.")
        bare = text.replace('"C"', "").replace('"."', "")
        for opening, closing in ("()", "[]", "{}"):
            assert bare.count(opening) == bare.count(closing), text
        assert bare.count('"') % 2 == 0
        assert set(re.findall(r"\.tb\.[a-z]+", text)) <= set(names)


def test_every_function_that_is_called_is_defined_with_as_many_parameters() -> None:
    texts = {text.partition(":")[0]: text for text in definitions()}
    store, q = opened(TICKS, dates=[])
    store.replace(TICKS, BTC, ticks(3))
    store.size(TICKS)
    store.append(TICKS, ticks(3))
    store.create(GAINED)
    store.drop(TICKS)
    called = {(text, len(arguments)) for text, arguments in q.asked if text in texts}
    assert {name for name, _ in called} >= {
        ".tb.create",
        ".tb.stage",
        ".tb.replace",
        ".tb.append",
        ".tb.size",
        ".tb.drop",
    }
    for name, count in called:
        parameters = texts[name].partition("{[")[2].partition("]")[0].split(";")
        assert len(parameters) == count, name


# --- statements -------------------------------------------------------------------------------------------------------


def test_the_functions_come_first_and_the_folder_is_opened_once() -> None:
    store, q = opened()
    store.drop(TICKS)
    store.drop(TICKS)
    assert [text for text, _ in q.asked[: len(definitions())]] == definitions()
    opening, folder = q.asked[len(definitions())]
    assert ".tb.open x" in opening
    assert folder == (":/data/kdb",)
    assert q.order == ["drop", "drop"]


def test_create_says_types_keys_and_attributes() -> None:
    store, q = opened()
    store.create(TICKS)
    [(name, text, columns, types, sort, stamps, attributes)] = q.named("create")
    assert name == "ticks"
    assert json.loads(text) == {
        "columns": {
            "ts": "timestamp[ns, tz=UTC]",
            "symbol": "string, few values",
            "seq": "int64",
            "price": "double",
            "note": "string or null",
        },
        "sort key": "symbol, ts, seq",
        "partition key": "day(ts), symbol",
    }
    assert columns.py() == ["ts", "symbol", "seq", "price", "note", "note_null"]
    assert types == b"psjfCb"
    assert sort.py() == ["symbol", "ts", "seq"]
    assert stamps.py() == ["ts", "ts"]
    assert [one.py() for one in attributes] == [["symbol"], ["p"]]


def test_attributes_of_other_orders() -> None:
    by_time = dataclasses.replace(TICKS, sort_key=("ts", "seq"))
    assert Rows.of(by_time).attributes == {"ts": "s", "symbol": "g"}
    assert Rows.of(TRADES).attributes == {"symbol": "p"}
    assert Rows.of(dataclasses.replace(TICKS, sort_key=())).attributes == {"symbol": "g"}


def test_create_makes_nothing_twice_and_adds_columns() -> None:
    store, q = opened(TICKS)
    store.create(TICKS)
    assert q.named("create") == []
    assert store.differences(TICKS) == []
    with pytest.raises(SchemaDrift, match=r"ticks: sort key is symbol, ts, seq, declared ts .*drop it"):
        store.create(dataclasses.replace(TICKS, sort_key=("ts",)))
    store.create(GAINED)
    assert "qty_null" in q.named("create")[0][2].py()


def test_a_replace_stages_blocks_and_ends_with_one_message() -> None:
    store, q = opened()
    written = store.replace(TICKS, BTC, [ticks(200_000), ticks(5, first=200_000)])
    assert q.order == ["declared", "create", "stage", "stage", "replace"]
    staged = q.named("stage")
    assert {(table, names.py()[0]) for table, _, names, _ in staged} == {("ticks", "ts")}
    assert [len(vectors[2]) for _, _, _, vectors in staged] == [131_072, 200_005 - 131_072]
    [(table, write, day, keys)] = q.named("replace")
    assert (table, day, keys.py()) == ("ticks", DAY_NUMBER, {"symbol": "BTC"})
    assert {one for _, one, _, _ in staged} == {write}
    assert written.rows == 200_005
    assert written.bytes > 200_005 * 24


def test_rows_that_do_not_fill_a_block_are_refused_before_q_hears_of_them() -> None:
    store, q = opened()
    with pytest.raises(FrameRefused, match="price"):
        store.replace(TICKS, BTC, [ticks(3), ticks(3).drop("price")])
    assert q.asked == []


def test_a_session_is_the_connection() -> None:
    store, q = opened()
    with store.session() as connection:
        connection.evaluate("1+1")
    assert q.asked[-1] == ("1+1", ())


def test_partitions_are_found_day_by_day() -> None:
    frame = pl.DataFrame({"ts": ["2024-08-08 01:00"] * 3, "symbol": ["b", "a", "b"]}).with_columns(
        pl.col("ts").str.to_datetime(time_unit="ns")
    )
    store, q = opened(TICKS, dates=[DAY], read=pykx().toq(frame.to_pandas()))
    assert store.partitions(TICKS) == [({"day": DAY, "symbol": "a"}, 1), ({"day": DAY, "symbol": "b"}, 2)]
    assert len(q.named("read")) == 1


def test_a_table_without_days_has_the_null_date() -> None:
    store, q = opened()
    table = dataclasses.replace(TICKS, partition_by=("symbol",))
    store.replace(table, {"symbol": "BTC"}, ticks(1))
    assert q.named("replace")[0][2] == NULL_LONG
    assert q.named("create")[0][5].py() == ["", "ts"]


def test_a_block_that_fails_is_forgotten() -> None:
    store, q = opened()
    with pytest.raises(FrameRefused, match="price"):
        store.replace(TICKS, BTC, [ticks(131_072), ticks(3).drop("price")])
    assert q.order[-2:] == ["stage", "forget"]
    assert q.named("forget")[0][0] == q.named("stage")[0][1]


def test_what_is_read() -> None:
    frame = pl.DataFrame({"symbol": ["BTC"], "seq": [1], "ts": [None]}, schema_overrides={"ts": pl.Datetime("ns")})
    days = [DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)]
    store, q = opened(TICKS, dates=days, read=pykx().toq(frame.to_pandas()))
    start = datetime(2024, 8, 8, tzinfo=UTC)
    store.read(TICKS, columns=["seq"], start=start, end=start + timedelta(hours=1), ordered=False)
    [(table, day, keys, columns, low, high)] = q.named("read")
    assert (table, day, keys.py(), columns.py()) == ("ticks", DAY_NUMBER, {}, ["seq"])
    assert low + KDB_EPOCH == 1_723_075_200_000_000_000
    assert high - low == 3_600_000_000_000
    assert store.read(TICKS, columns=["seq"], start=start + timedelta(hours=1), end=start).is_empty()
    assert len(q.named("read")) == 1
    store.read(TICKS, partition=BTC, columns=["seq"])
    assert q.named("read")[1][1:3][0] == DAY_NUMBER
    assert q.named("read")[1][3].py() == ["seq", "symbol", "ts"]
    assert q.named("read")[1][4:] == (NULL_LONG, NULL_LONG)


def test_size_of_a_part_is_its_share() -> None:
    store, q = opened(TICKS)
    whole, part = store.size(TICKS), store.size(TICKS, BTC)
    assert (whole.rows, whole.bytes, whole.raw_bytes) == (10, 1000, 80)
    assert (part.rows, part.bytes, part.raw_bytes) == (4, 400, 32)
    assert [one[1] for one in q.named("size")] == [NULL_LONG, DAY_NUMBER]


def test_refusals_are_one_line() -> None:
    store, _ = opened()
    with pytest.raises(StoreError, match="run 'tracebank db upgrade'"):
        store.read(TICKS)
    with pytest.raises(StoreError, match="colour"):
        store.read(TICKS, columns=["colour"])
    more = (Column("date", pa.int64(), ""), Column("a b", pa.int64(), ""))
    with pytest.raises(FrameRefused, match=r"names \['date', 'a b'\] are not accepted"):
        store.create(dataclasses.replace(TICKS, columns=(*TICKS.columns, *more)))
    for url in ("kdb://h/", "kdb://h/a b", "kdb://h/a;b", "clickhouse://h/x"):
        with pytest.raises(StoreError, match="is not accepted; use kdb://"):
            KdbStore(make_url(url))
    with pytest.raises(FrameRefused, match="times before 1707"):
        store.append(TICKS, ticks(1, day=date(1677, 9, 22)))
    with pytest.raises(FrameRefused, match="text with a NUL"):
        store.append(TICKS, ticks(1).with_columns(note=pl.lit("a\0")))
    with pytest.raises(FrameRefused, match="more than 63 bits"):
        store.append(KINDS, ROWS.with_columns(huge=pl.lit(2**63, pl.UInt64)))


def test_without_a_licence_in_process_says_what_to_do() -> None:
    if pykx().licensed:
        pytest.skip("there is a licence here")
    with pytest.raises(StoreError, match="no kdb\\+ licence"):
        KdbStore(make_url("kdb:///data/kdb")).info()


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_rows_of_every_type_go_and_come_back() -> None:
    """What is sent for rows is answered with: nothing of q is needed for that."""
    layout = Rows.of(KINDS)
    with over_the_wire("4.1") as (store, asked):
        vectors = layout.vectors(fitted(KINDS, ROWS))
        store.call("stage", "kinds", "w", vectors)
    sent = dict(zip(layout.names, asked[-1][4], strict=True))
    assert sent["name"] == ["BTC-USD", "", "Ç two"]
    assert sent["note"] == ["", "", 'a"b\\ line\nend']
    assert sent["note_null"] == [1, 0, 0]
    assert sent["tiny"] == [-128, 0, 127]
    answer = {name: _wire(layout.types[at], sent[name]) for at, name in enumerate(layout.names)}
    with over_the_wire(answer) as (store, _):
        found = layout.frame(arrow(store._q().evaluate("t")), KINDS.arrow_schema.names)
    assert_frame_equal(found, ROWS)


def _wire(letter: str, values: Any) -> Any:
    kinds = {"b": 1, "h": 5, "i": 6, "e": 8, "d": 14}
    if letter == "p":
        return values
    if letter in kinds:
        return Vector(kinds[letter], values)
    if letter == "C":
        return Mixed(values)
    if letter in "EF":
        return Mixed([Vector(8 if letter == "E" else 9, one) for one in values])
    return values


def test_no_rows_have_types_too() -> None:
    vectors = Rows.of(KINDS).vectors(fitted(KINDS, ROWS.head(0)))
    kinds = [vector.t for vector in vectors]
    assert kinds[: kinds.index(11) + 1] == [12, 1, 1, 5, 5, 5, 6, 1, 6, 7, 7, 1, 7, 8, 9, 1, 14, 11]


def test_days_of_the_table() -> None:
    assert Rows.of(TICKS).day == "ts"
    assert Rows.of(dataclasses.replace(TICKS, partition_by=(Day("ts"),))).types == "psjfCb"
    assert Timestamps([0]).values == [0]
