from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebank_benchmarks.tsdb.comparison import answer_schema, compare
from tracebank_benchmarks.tsdb.workloads import Output, Tolerance, Workload

ASKED = Workload(
    "T1",
    "test",
    "test",
    "?",
    (),
    ("symbol", "minute"),
    (
        Output("symbol", "string"),
        Output("minute", "timestamp"),
        Output("n", "int"),
        Output("price", "float"),
        Output("mean", "float", Tolerance.SUM),
        Output("deviation", "float", Tolerance.VARIANCE, nullable=True),
    ),
)
NOON = datetime(2024, 8, 8, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"symbol": "A", "minute": NOON, "n": 1, "price": 1.5, "mean": 2.0, "deviation": None},
    {"symbol": "B", "minute": NOON, "n": 2, "price": 0.1, "mean": 3.0, "deviation": 0.25},
    {"symbol": "B", "minute": NOON.replace(hour=13), "n": 3, "price": 7.0, "mean": 1e9, "deviation": 0.0},
]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=answer_schema(ASKED))


def changed(row: int, **values: object) -> pa.Table:
    return table([{**record, **values} if at == row else record for at, record in enumerate(ROWS)])


RIGHT = table(ROWS)


def test_rows_and_columns_may_come_in_any_order() -> None:
    assert compare(ASKED, RIGHT, RIGHT) == []
    assert compare(ASKED, RIGHT, table(ROWS[::-1]).select(RIGHT.column_names[::-1])) == []
    assert compare(ASKED, table([]), table([])) == []


def test_text_may_be_encoded_otherwise() -> None:
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        assert compare(ASKED, RIGHT, RIGHT.set_column(0, "symbol", RIGHT.column("symbol").cast(kind))) == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (changed(1, n=4), "column n, row symbol=B, minute=2024-08-08 12:00:00+00:00: 4, expected 2"),
        (changed(1, price=0.1 + 1e-16), "column price, row symbol=B, "),
        (changed(1, mean=3.0 * (1 + 3e-9)), "expected 3.0 (relative 1e-09)"),
        (changed(1, deviation=0.25 * (1 + 3e-7)), "column deviation, row symbol=B, "),
        (changed(2, deviation=2e-12), "column deviation, row symbol=B, minute=2024-08-08 13:00:00+00:00: 2e-12"),
        (changed(0, deviation=0.0), "row symbol=A, minute=2024-08-08 12:00:00+00:00: 0.0, expected null"),
        (changed(1, deviation=None), ": null, expected 0.25"),
        (changed(1, deviation=float("nan")), ": nan, expected 0.25"),
        (changed(1, mean=float("inf")), ": inf, expected 3.0"),
        (changed(0, price=None), "column price has nulls and may have none"),
        (changed(0, symbol="C"), "row symbol=A, minute=2024-08-08 12:00:00+00:00 is missing"),
        (changed(0, symbol="C"), "row symbol=C, minute=2024-08-08 12:00:00+00:00 is unexpected"),
        (changed(0, symbol="B"), "key symbol=B, minute=2024-08-08 12:00:00+00:00 stands twice"),
        (table(ROWS[:2]), "2 rows, expected 3"),
        (table([]), "0 rows, expected 3"),
        (table([]), "row symbol=A, minute=2024-08-08 12:00:00+00:00 is missing (and 2 more)"),
        (RIGHT.drop_columns(["n"]), "columns ['symbol', 'minute', 'price', 'mean', 'deviation'], expected ['symbol',"),
        (RIGHT.append_column("m", RIGHT.column("n")), "'m'], expected"),
        (RIGHT.set_column(2, "n", RIGHT.column("n").cast(pa.int32())), "column n is int32, expected int64"),
        (
            RIGHT.set_column(1, "minute", RIGHT.column("minute").cast(pa.timestamp("us", "UTC"))),
            "column minute is timestamp[us, tz=UTC], expected timestamp[ns, tz=UTC]",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(found: pa.Table, says: str) -> None:
    messages = compare(ASKED, RIGHT, found)
    assert any(says in message for message in messages), messages
    assert not any("\n" in message for message in messages)


def test_values_within_the_tolerance_are_right() -> None:
    assert compare(ASKED, RIGHT, changed(1, mean=3.0 * (1 + 9e-10))) == []
    assert compare(ASKED, RIGHT, changed(1, deviation=0.25 * (1 + 9e-8))) == []
    assert compare(ASKED, RIGHT, changed(2, deviation=9e-13)) == []


def test_sums_that_cancel_out_are_as_exact_as_their_column() -> None:
    signed = [{**record, "mean": mean} for record, mean in zip(ROWS, (-5.0, 0.0, 1e9), strict=True)]
    for off, right in ((9e-4, True), (2e-3, False)):
        found = [{**record, "mean": record["mean"] or off} for record in signed]
        assert (compare(ASKED, table(signed), table(found)) == []) is right


def test_a_wrong_oracle_is_not_blamed_on_the_engine() -> None:
    twice = table([ROWS[0], ROWS[0]])
    assert compare(ASKED, twice, RIGHT)[0].startswith("expected answer: key symbol=A")


@given(st.permutations(range(3)), st.integers(0, 2), st.integers(1, 5))
def test_a_wrong_count_is_found_wherever_it_stands(order: list[int], row: int, by: int) -> None:
    found = changed(row, n=ROWS[row]["n"] + by).take(order)
    [message] = compare(ASKED, RIGHT, found)
    assert message.startswith(f"column n, row symbol={ROWS[row]['symbol']}")
