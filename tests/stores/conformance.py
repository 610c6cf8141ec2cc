"""What every engine behind `SeriesStore` owes, as one suite. Nothing here knows an engine: `engines` names them."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from tracebank.stores.faults import FrameRefused, SchemaDrift, StoreError
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable

DAY = date(2024, 8, 8)
MIDNIGHT = datetime(2024, 8, 8, tzinfo=UTC)
BTC: Partition = {"day": DAY, "symbol": "BTC"}
ETH: Partition = {"day": DAY, "symbol": "ETH"}

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
    unique_key=("symbol", "seq"),
)
GAINED = dataclasses.replace(
    TICKS, columns=(*TICKS.columns[:3], Column("qty", pa.float64(), "quantity", nullable=True), *TICKS.columns[3:])
)


def ticks(rows: int, symbol: str = "BTC", *, first: int = 0, day: date = DAY, price: float = 1.0) -> pl.DataFrame:
    """Rows a microsecond and a nanosecond apart, in one partition."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    seq = pl.int_range(first, first + rows, eager=True).alias("seq")
    return pl.DataFrame({"seq": seq}).select(
        (pl.lit(start).cast(pl.Datetime("ns", "UTC")) + pl.duration(nanoseconds=pl.col("seq") * 1001)).alias("ts"),
        pl.lit(symbol).alias("symbol"),
        "seq",
        (pl.col("seq") * 0.5 + price).alias("price"),
        pl.when(pl.col("seq") % 3 == 0).then(pl.format("n{}", "seq")).alias("note"),
    )


def _keyed(name: str, key: Column | None) -> SeriesTable:
    columns = (Column("ts", TIMESTAMP, "when", "UTC"), *([key] if key else []), Column("v", pa.int64(), "value"))
    return SeriesTable(name, "one key", columns, ("ts",), (key.name,) if key else ())


KEYS: list[tuple[SeriesTable, list[Partition]]] = [
    (_keyed("by_nothing", None), [{}]),
    (_keyed("by_int", Column("run", pa.int32(), "run")), [{"run": 7}, {"run": -3}, {"run": 0}]),
    (
        _keyed("by_text", Column("name", pa.string(), "name", repeated=True)),
        [
            {"name": text}
            for text in ("plain", "", "it's", 'a"b', "a\\b", "tab\there", "line\nend", "нет✓", "nul\0in", "'),(")
        ],
    ),
    (
        _keyed("by_date", Column("d", pa.date32(), "date")),
        [{"d": DAY}, {"d": date(1969, 12, 31)}, {"d": date(2200, 1, 1)}],
    ),
    (
        SeriesTable(
            "by_day",
            "one key",
            (Column("ts", TIMESTAMP, "when", "UTC"), Column("v", pa.int64(), "value")),
            ("ts",),
            (Day("ts"),),
        ),
        [{"day": day} for day in (DAY, date(1970, 1, 1), date(1969, 12, 31), date(1677, 9, 22), date(2262, 4, 11))],
    ),
]


def _of_key(table: SeriesTable, partition: Partition, value: int) -> pl.DataFrame:
    day = partition.get("day", DAY)
    assert isinstance(day, date)
    stamp = pl.lit(datetime(day.year, day.month, day.day, tzinfo=UTC)).cast(pl.Datetime("ns", "UTC"))
    keys = {name: pl.lit(key) for name, key in partition.items() if name != "day"}
    frame = pl.DataFrame({"v": [value, value + 1]}).with_columns(ts=stamp, **keys)
    return frame.select(table.arrow_schema.names).cast(table.polars_schema)  # type: ignore[arg-type]


class Conformance:
    """The suite. A subclass gives the fixture `store`."""

    # --- tables ---------------------------------------------------------------------------------------------------

    def test_create_twice(self, store: SeriesStore) -> None:
        assert [d.what for d in store.differences(TICKS)] == ["table"]
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        store.create(TICKS)
        assert store.differences(TICKS) == []
        assert store.size(TICKS).rows == 3

    def test_create_adds_a_gained_column(self, store: SeriesStore) -> None:
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        [difference] = store.differences(GAINED)
        assert (difference.what, difference.found, difference.repairable) == ("column qty", "absent", True)
        store.create(GAINED)
        assert store.differences(GAINED) == []
        read = store.read(GAINED)
        assert read.columns == GAINED.arrow_schema.names
        assert read["qty"].null_count() == 3
        assert_frame_equal(read.drop("qty"), ticks(3))

    def test_rows_from_before_a_column_have_the_value_that_it_declares_for_them(self, store: SeriesStore) -> None:
        if not type(store).__module__.startswith("tracebank.engines."):
            pytest.skip("an engine without declared columns")
        lot = Column("lot", pa.int64(), "size of a lot", before=60)
        lots = dataclasses.replace(TICKS, columns=(*TICKS.columns, lot))
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        store.create(lots)
        assert store.differences(lots) == []
        store.append(lots, ticks(5)[3:].with_columns(lot=pl.lit(7, pl.Int64)))
        assert sorted(store.read(lots)["lot"].to_list()) == [7, 7, 60, 60, 60]

    def test_create_lets_a_column_be_null_that_may_be_now(self, store: SeriesStore) -> None:
        columns = (dataclasses.replace(c, nullable=True) if c.name == "price" else c for c in TICKS.columns)
        loosened = dataclasses.replace(TICKS, columns=tuple(columns))
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        assert [(d.what, d.repairable) for d in store.differences(loosened)] == [("column price", True)]
        store.create(loosened)
        assert store.differences(loosened) == []
        assert_frame_equal(store.read(loosened), ticks(3))
        store.append(loosened, ticks(5)[3:].with_columns(price=pl.lit(None, pl.Float64)))
        assert store.read(loosened)["price"].null_count() == 2

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"columns": tuple(c for c in TICKS.columns if c.name != "price")}, "column price"),
            (
                {
                    "columns": tuple(
                        dataclasses.replace(c, type=pa.float32()) if c.name == "price" else c for c in TICKS.columns
                    )
                },
                "column price",
            ),
            (
                {"columns": tuple(dataclasses.replace(c, nullable=False) for c in TICKS.columns)},
                "column note",
            ),
            ({"sort_key": ("ts", "symbol", "seq")}, "sort key"),
            ({"partition_by": (Day("ts"),)}, "partition key"),
        ],
        ids=["lost", "type", "null", "sort", "partition"],
    )
    def test_create_refuses_other_differences(self, store: SeriesStore, change: dict[str, Any], named: str) -> None:
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        changed = dataclasses.replace(TICKS, **change)
        assert any(not d.repairable and d.what == named for d in store.differences(changed))
        with pytest.raises(
            SchemaDrift, match=rf"ticks\W*: {named} is .*declared .*drop it and materialise again"
        ) as caught:
            store.create(changed)
        assert "\n" not in str(caught.value)
        assert_frame_equal(store.read(TICKS), ticks(3))

    def test_drop(self, store: SeriesStore) -> None:
        store.drop(TICKS)
        store.create(TICKS)
        store.append(TICKS, ticks(3))
        store.drop(TICKS)
        store.create(TICKS)
        assert store.read(TICKS).is_empty()

    def test_reading_a_table_that_is_not_there_says_what_to_do(self, store: SeriesStore) -> None:
        with pytest.raises(StoreError, match="db upgrade") as caught:
            store.read(TICKS)
        assert "\n" not in str(caught.value)

    # --- replace --------------------------------------------------------------------------------------------------

    def test_replace_is_idempotent(self, store: SeriesStore) -> None:
        for _ in range(2):
            written = store.replace(TICKS, BTC, ticks(1000))
            assert written.rows == 1000
            assert written.bytes > 1000 * 24, "three columns of eight bytes and text"
            assert store.size(TICKS, BTC).bytes > 0
            assert_frame_equal(store.read(TICKS), ticks(1000))

    def test_replace_makes_its_table(self, store: SeriesStore) -> None:
        store.replace(TICKS, BTC, ticks(5))
        assert store.differences(TICKS) == []

    def test_replace_leaves_other_partitions_alone(self, store: SeriesStore) -> None:
        eve = ticks(5, day=DAY - timedelta(days=1))
        store.append(TICKS, [ticks(10), ticks(20, "ETH"), eve])
        store.replace(TICKS, BTC, ticks(7, price=9.0))
        assert_frame_equal(store.read(TICKS, partition=BTC), ticks(7, price=9.0))
        assert_frame_equal(store.read(TICKS, partition=ETH), ticks(20, "ETH"))
        assert_frame_equal(store.read(TICKS, partition={"day": DAY - timedelta(days=1), "symbol": "BTC"}), eve)

    @pytest.mark.parametrize("nothing", [[], ticks(0), [ticks(0), ticks(0)]], ids=["no frames", "empty", "two empty"])
    def test_replace_by_nothing_empties_the_partition(self, store: SeriesStore, nothing: Any) -> None:
        store.append(TICKS, [ticks(10), ticks(20, "ETH")])
        assert store.replace(TICKS, BTC, nothing).rows == 0
        assert store.read(TICKS, partition=BTC).is_empty()
        assert store.size(TICKS, BTC).rows == 0
        assert store.size(TICKS).rows == 20

    @pytest.mark.parametrize(("table", "partitions"), KEYS, ids=[table.name for table, _ in KEYS])
    def test_every_kind_of_partition_key(
        self, store: SeriesStore, table: SeriesTable, partitions: list[Partition]
    ) -> None:
        for at, partition in enumerate(partitions):
            store.replace(table, partition, _of_key(table, partition, 100 * at))
        for at, partition in enumerate(partitions):
            again = _of_key(table, partition, 100 * at + 50)
            store.replace(table, partition, again)
            assert_frame_equal(store.read(table, partition=partition), again, check_row_order=False)
            assert store.size(table, partition).rows == 2
        assert store.size(table).rows == 2 * len(partitions)
        store.replace(table, partitions[0], [])
        assert store.size(table, partitions[0]).rows == 0
        assert store.size(table).rows == 2 * len(partitions) - 2
        assert store.differences(table) == []

    def test_replace_streams_in_bounded_memory(self, store: SeriesStore) -> None:
        blocks, rows = 40, 100_000
        one = ticks(rows).to_arrow().nbytes

        def generated() -> Iterator[pa.Table]:
            for at in range(blocks):
                yield ticks(rows, first=at * rows).to_arrow()

        before = pa.default_memory_pool()
        peak = 0

        def watched() -> Iterator[pa.Table]:
            nonlocal peak
            for block in generated():
                peak = max(peak, before.bytes_allocated())
                yield block

        held = before.bytes_allocated()
        tracemalloc.start()
        assert store.replace(TICKS, BTC, watched()).rows == blocks * rows
        _, traced = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - held < one * blocks / 2
        assert traced < one * blocks / 4
        assert store.size(TICKS, BTC).rows == blocks * rows

    def test_a_block_that_fails_leaves_the_old_rows(self, store: SeriesStore) -> None:
        store.replace(TICKS, BTC, ticks(10))

        def breaks() -> Iterator[pl.DataFrame]:
            yield ticks(2_000_000, first=50)
            raise RuntimeError("the reader broke")

        with pytest.raises(RuntimeError, match="the reader broke"):
            store.replace(TICKS, BTC, breaks())
        assert_frame_equal(store.read(TICKS), ticks(10))

    def test_replacing_shows_rows_when_the_block_ends(self, store: SeriesStore) -> None:
        store.replace(TICKS, BTC, ticks(3))
        with store.replacing(TICKS, BTC) as writer:
            writer.write(ticks(5, price=2.0))
            assert_frame_equal(store.read(TICKS), ticks(3))
            writer.write(ticks(5, first=5, price=2.0))
        assert writer.written.rows == 10
        assert_frame_equal(store.read(TICKS), ticks(10, price=2.0))

    def test_two_writers_at_once(self, store: SeriesStore) -> None:
        with store.replacing(TICKS, BTC) as one, store.replacing(TICKS, ETH) as other:
            one.write(ticks(5))
            other.write(ticks(6, "ETH"))
        assert (store.size(TICKS, BTC).rows, store.size(TICKS, ETH).rows) == (5, 6)

    def test_partitions_are_those_that_have_rows(self, store: SeriesStore) -> None:
        store.create(TICKS)
        assert store.partitions(TICKS) == []
        eve = DAY - timedelta(days=1)
        store.append(TICKS, [ticks(20, "ETH"), ticks(10), ticks(5, day=eve)])
        assert store.partitions(TICKS) == [({"day": eve, "symbol": "BTC"}, 5), (BTC, 10), (ETH, 20)]
        store.replace(TICKS, BTC, [])
        assert store.partitions(TICKS) == [({"day": eve, "symbol": "BTC"}, 5), (ETH, 20)]

    def test_delete_takes_one_partition(self, store: SeriesStore) -> None:
        store.delete(TICKS, BTC)
        store.append(TICKS, [ticks(10), ticks(20, "ETH")])
        for _ in range(2):
            store.delete(TICKS, BTC)
            assert store.partitions(TICKS) == [(ETH, 20)]
        assert_frame_equal(store.read(TICKS), ticks(20, "ETH"))

    def test_a_session_is_open_for_its_block(self, store: SeriesStore) -> None:
        with store.session() as client:
            assert client is not None
            store.replace(TICKS, BTC, ticks(3))
        assert store.size(TICKS).rows == 3

    # --- append ---------------------------------------------------------------------------------------------------

    def test_append_adds_to_what_is_there(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(10))
        assert store.append(TICKS, [ticks(5, first=10), ticks(4, "ETH")]).rows == 9
        assert_frame_equal(store.read(TICKS, partition=BTC), ticks(15))
        assert_frame_equal(store.read(TICKS, partition=ETH), ticks(4, "ETH"))

    def test_insert_adds_a_few_rows(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(10))
        store.insert(TICKS, ticks(5, first=10))
        store.insert(TICKS, pl.concat([ticks(4, "ETH"), ticks(5, first=15)]))
        store.insert(TICKS, ticks(0))
        assert_frame_equal(store.read(TICKS, partition=BTC), ticks(20))
        assert_frame_equal(store.read(TICKS, partition=ETH), ticks(4, "ETH"))

    def test_append_of_nothing(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(2))
        assert store.append(TICKS, []).rows == 0
        assert store.size(TICKS).rows == 2

    # --- read -----------------------------------------------------------------------------------------------------

    def test_read_columns_in_the_order_asked_for(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(10))
        assert_frame_equal(store.read(TICKS, columns=["price", "ts"]), ticks(10).select("price", "ts"))
        with pytest.raises(StoreError, match=r"ticks: columns \['colour'\] are not declared; it has \['ts', "):
            store.read(TICKS, columns=["price", "colour"])

    def test_read_a_time_range_is_half_open(self, store: SeriesStore) -> None:
        hours = pl.duration(nanoseconds=pl.col("seq") * 3_600_000_000_000)
        frame = ticks(10).with_columns(ts=pl.lit(MIDNIGHT).cast(pl.Datetime("ns", "UTC")) + hours)
        store.append(TICKS, frame)
        at = MIDNIGHT + timedelta(hours=3)
        until = MIDNIGHT + timedelta(hours=6)
        assert store.read(TICKS, start=at, end=until)["seq"].to_list() == [3, 4, 5]
        assert store.read(TICKS, start=at)["seq"].to_list() == [3, 4, 5, 6, 7, 8, 9]
        assert store.read(TICKS, end=at, partition=BTC)["seq"].to_list() == [0, 1, 2]
        assert store.read(TICKS, start=until, end=at).is_empty()
        assert store.read(TICKS, partition=ETH).is_empty()

    def test_read_bounds_beyond_what_the_engine_holds(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(4))
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        assert store.read(TICKS, start=first, end=last).height == 4
        assert store.read(TICKS, start=last).is_empty()
        assert store.read(TICKS, end=first).is_empty()

    def test_read_refuses_a_time_without_a_zone(self, store: SeriesStore) -> None:
        store.create(TICKS)
        with pytest.raises(StoreError, match="has no time zone"):
            store.read(TICKS, start=datetime(2024, 8, 8))

    def test_read_is_in_sort_key_order(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(500, first=500, symbol="ETH"))
        store.append(TICKS, ticks(1000).sample(fraction=1.0, shuffle=True, seed=1))
        store.append(TICKS, ticks(500, symbol="ETH"))
        whole = pl.concat([ticks(1000), ticks(1000, "ETH")])
        assert_frame_equal(store.read(TICKS), whole)
        assert_frame_equal(store.read(TICKS, ordered=False).sort("symbol", "seq"), whole)

    def test_read_of_many_repeated_values(self, store: SeriesStore) -> None:
        """An engine that encodes repeated values as dictionaries meets new ones in later blocks, and too many."""
        table = dataclasses.replace(
            TICKS,
            name="many",
            partition_by=(),
            sort_key=("seq",),
            unique_key=(),
            columns=(*TICKS.columns[:-1], Column("note", pa.string(), "remark", nullable=True, repeated=True)),
        )
        frames = [
            ticks(rows, first=first).with_columns(
                symbol=pl.format("s{}", pl.col("seq") % modulus),
                note=pl.when(pl.col("seq") % 2 == 0).then(pl.format("n{}", pl.col("seq") % modulus)),
            )
            for first, rows, modulus in ((0, 70_000, 3), (70_000, 75_000, 70_000), (145_000, 10_000, 5))
        ]
        for frame in frames:
            store.append(table, frame)
        assert_frame_equal(store.read(table), pl.concat(frames))
        assert_frame_equal(pl.DataFrame(pa.Table.from_batches(store.read_batches(table))), pl.concat(frames))

    def test_read_has_the_declared_types_even_when_empty(self, store: SeriesStore) -> None:
        store.create(TICKS)
        assert store.read(TICKS).schema == TICKS.polars_schema
        store.append(TICKS, ticks(1))
        assert store.read(TICKS).schema == TICKS.polars_schema

    def test_read_batches_give_the_same_rows(self, store: SeriesStore) -> None:
        store.append(TICKS, [ticks(300_000), ticks(1000, "ETH")])
        batches = list(store.read_batches(TICKS, partition=BTC))
        assert len(batches) > 1
        assert_frame_equal(pl.DataFrame(pa.Table.from_batches(batches)), ticks(300_000))
        some = store.read_batches(TICKS, columns=["seq"], end=MIDNIGHT + timedelta(microseconds=10))
        assert sum(batch.num_rows for batch in some) == 20
        assert list(store.read_batches(TICKS, partition={"day": DAY, "symbol": "none"})) == []

    def test_read_batches_may_be_left_early(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(300_000))
        batches = store.read_batches(TICKS)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        assert store.size(TICKS).rows == 300_000

    def test_query_in_the_engines_own_language(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(12))
        answer = store.query("SELECT count(*) AS n, max(seq) AS last FROM ticks")
        assert answer.to_pylist() == [{"n": 12, "last": 11}]
        with pytest.raises(StoreError) as caught:
            store.query("SELECT FROM WHERE")
        assert "\n" not in str(caught.value)

    def test_size(self, store: SeriesStore) -> None:
        store.create(TICKS)
        assert store.size(TICKS).rows == 0
        store.append(TICKS, [ticks(1000), ticks(50, "ETH")])
        whole, part = store.size(TICKS), store.size(TICKS, ETH)
        assert (whole.rows, part.rows) == (1050, 50)
        assert 0 < part.bytes < whole.bytes
        assert 0 < part.raw_bytes < whole.raw_bytes

    # --- refusal --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (ticks(3).drop("price"), r"columns \['price'\] are missing"),
            (ticks(3).with_columns(colour=1), r"columns \['colour'\] are not declared"),
            (ticks(3).cast({"price": pl.Float32}), "column price is float, declared double"),
            (ticks(3).cast({"seq": pl.Int32}), "column seq is int32, declared int64"),
            (ticks(3).with_columns(pl.col("seq").cast(pl.String)), r"column seq is .*string.*, declared int64"),
            (ticks(3).cast({"ts": pl.Datetime("us", "UTC")}), r"column ts is timestamp\[us, tz=UTC\], declared"),
            (ticks(3).with_columns(pl.col("ts").dt.replace_time_zone(None)), r"column ts is timestamp\[ns\], declared"),
            (ticks(3).with_columns(price=pl.when(pl.col("seq") == 1).then("price")), "column price has 2 nulls"),
            (ticks(3, "ETH"), "a row with symbol=ETH does not belong to partition symbol=BTC"),
            (pl.concat([ticks(3), ticks(1, "DOGE")]), "a row with symbol=DOGE does not belong"),
            (ticks(3, day=date(2024, 8, 9)), "a row with day=2024-08-09 does not belong to partition day=2024-08-08"),
            (ticks(3, day=date(2024, 8, 7)), "a row with day=2024-08-07 does not belong"),
            (
                pa.Table.from_arrays([*ticks(3).to_arrow().columns, pa.array([1.0] * 3)], [*ticks(3).columns, "price"]),
                "a column stands twice",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("before", [0, 1], ids=["first", "second"])
    def test_a_frame_that_does_not_fit_is_refused(
        self, store: SeriesStore, bad: pl.DataFrame, says: str, before: int
    ) -> None:
        store.replace(TICKS, BTC, ticks(10))
        with pytest.raises(FrameRefused, match=says) as caught:
            store.replace(TICKS, BTC, [ticks(5, price=7.0)] * before + [bad])
        assert str(caught.value).startswith("table ticks: ")
        assert "\n" not in str(caught.value)
        assert_frame_equal(store.read(TICKS), ticks(10))

    def test_append_refuses_too_and_writes_nothing(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(10))
        with pytest.raises(FrameRefused, match="column seq is int32"):
            store.append(TICKS, [ticks(5, first=10), ticks(3, "ETH"), ticks(3).cast({"seq": pl.Int32})])
        assert_frame_equal(store.read(TICKS), ticks(10))

    @pytest.mark.parametrize(
        "partition",
        [
            {"day": DAY},
            {"symbol": "BTC"},
            {"day": DAY, "symbol": "BTC", "venue": "x"},
            {"day": "2024-08-08", "symbol": "BTC"},
            {"day": MIDNIGHT, "symbol": "BTC"},
            {"day": DAY, "symbol": 3},
            {"day": date(1500, 1, 1), "symbol": "BTC"},
            {"day": date.max, "symbol": "BTC"},
            {},
        ],
        ids=str,
    )
    def test_a_partition_that_does_not_fit_is_refused(self, store: SeriesStore, partition: Any) -> None:
        store.create(TICKS)
        for use in (
            lambda: store.replace(TICKS, partition, ticks(1)),
            lambda: store.read(TICKS, partition=partition),
            lambda: store.size(TICKS, partition),
        ):
            with pytest.raises(FrameRefused, match="table ticks: "):
                use()
        assert store.size(TICKS).rows == 0

    # --- capabilities: declared, then tried ----------------------------------------------------------------------

    def test_resolution_is_as_declared(self, store: SeriesStore) -> None:
        step = {"ns": 1, "us": 1_000, "ms": 1_000_000}[store.timestamp_resolution]
        stamps = [1_723_075_200_123_456_789 // step * step + at * step for at in range(3)]
        frame = ticks(3).with_columns(ts=pl.Series(stamps).cast(pl.Datetime("ns", "UTC")))
        store.append(TICKS, frame)
        assert store.read(TICKS)["ts"].cast(pl.Int64).to_list() == stamps

    def test_on_rewrite_is_as_declared(self, store: SeriesStore) -> None:
        store.append(TICKS, ticks(3))
        if store.on_rewrite == "refuse":
            with pytest.raises(StoreError):
                store.append(TICKS, ticks(3, price=5.0))
            return
        store.append(TICKS, ticks(3, price=5.0))
        found = sorted(store.read(TICKS)["price"].to_list())
        second = ticks(3, price=5.0)["price"].to_list()
        assert found == sorted(second if store.on_rewrite == "overwrite" else second + ticks(3)["price"].to_list())

    def test_arrays_are_as_declared(self, store: SeriesStore) -> None:
        table = SeriesTable(
            "vectors",
            "lists",
            (Column("ts", TIMESTAMP, "when"), Column("v", pa.list_(pa.float32()), "vector")),
            ("ts",),
            (),
        )
        frame = pl.DataFrame(
            {"ts": [0, 1, 2], "v": [[1.0, 2.0], [], [3.0]]}, schema_overrides={"v": pl.List(pl.Float32)}
        ).cast({"ts": pl.Datetime("ns", "UTC")})
        if not store.arrays:
            with pytest.raises(StoreError):
                store.append(table, frame)
            return
        store.append(table, frame)
        assert_frame_equal(store.read(table), frame)

    def test_asof_join_is_as_declared(self, store: SeriesStore) -> None:
        if not store.asof_join:
            pytest.skip("has no as-of join of its own, as declared")
        store.append(TICKS, [ticks(3), ticks(3, "ETH", price=10.0)])
        answer = store.query(
            "SELECT l.seq AS seq, r.price AS price"
            " FROM (SELECT * FROM ticks WHERE symbol = 'BTC') AS l"
            " ASOF JOIN (SELECT * FROM ticks WHERE symbol = 'ETH') AS r"
            " ON l.note = r.note AND l.ts >= r.ts ORDER BY seq"
        )
        assert answer.to_pylist() == [{"seq": 0, "price": 10.0}]

    def test_info_names_the_engine(self, store: SeriesStore) -> None:
        info = store.info()
        assert info.engine == store.engine
        assert info.version[0].isdigit()
        assert info.edition

    def test_it_is_a_series_store(self, store: SeriesStore) -> None:
        assert isinstance(store, SeriesStore)
        assert store.concurrency in ("many_processes", "one_process", "one_writer")
