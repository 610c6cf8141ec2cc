"""Tables for a person: what fits, what folds into records, and what may never be cut or reach the terminal."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tracebank.cli.answer_table import PAGE, Look, write_table
from tracebank.cli.cells import LONGEST, Cells, printable
from tracebank.cli.grid import NUMBER, PROSE, Grid, Head

RUN = "19860388-6b0b-458e-a0bf-740772194018"
HASH = "398f088c3e5bb349278e0643bf767023ede89afac11b7ba2756622b418c177d8"


def shown(grid: Grid, width: int = 80) -> list[str]:
    """Lines of a table on a terminal of that width."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(grid)
    return file.getvalue().splitlines()


def answered(table: pa.Table, width: int = 80, **look: bool) -> list[str]:
    """Lines of an answer."""
    file = io.StringIO()
    write_table(Console(file=file, width=width), table.schema, table.to_batches(max_chunksize=700), Look(**look))
    return file.getvalue().splitlines()


def texts(values: list[Any], kind: pa.DataType | None = None, *, full: bool = False) -> list[str | None]:
    return Cells(full=full).column("x", pa.array(values, kind))


@pytest.mark.parametrize(
    ("value", "short", "exact"),
    [
        (1234.56789, "1234.57", "1234.56789"),
        (0.1 + 0.2, "0.3", "0.30000000000000004"),
        (100.0, "100.0", "100.0"),
        (1.5, "1.5", "1.5"),
        (123456789.125, "123456789", "123456789.125"),
        (1e300, "1e+300", "1e+300"),
        (-1.23456789e-9, "-1.23457e-09", "-1.23456789e-09"),
        (float("nan"), "NaN", "NaN"),
        (float("-inf"), "-inf", "-inf"),
        (0.0, "0.0", "0.0"),
        (999999.9, "1000000", "999999.9"),
    ],
)
def test_numbers_have_six_digits_or_all(value: float, short: str, exact: str) -> None:
    assert texts([value]) == [short]
    assert texts([value], full=True) == [exact]


def test_what_is_whole_is_never_rounded() -> None:
    assert texts([2**63 - 1]) == [str(2**63 - 1)]
    assert texts([2**64 - 1], pa.uint64()) == [str(2**64 - 1)]
    assert texts([Decimal(10**37)], pa.decimal128(38, 0)) == [str(10**37)]
    assert texts([Decimal("1234.5678901")], pa.decimal128(38, 7)) == ["1234.57"]
    assert texts([Decimal("1234.5678901")], pa.decimal128(38, 7), full=True) == ["1234.5678901"]


def test_a_narrow_float_has_its_own_digits() -> None:
    assert texts([0.1], pa.float32(), full=True) == ["0.1"]
    assert texts([0.1], pa.float32()) == ["0.1"]


def test_time_stamps_keep_their_nanoseconds_and_no_more_digits_than_they_have() -> None:
    moment = pa.timestamp("ns", "UTC")
    assert texts([1, 999], moment) == ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000000999"]
    assert texts([10**9, None], moment) == ["1970-01-01 00:00:01", None]
    assert texts([1_500_000_000, 10**9], moment) == ["1970-01-01 00:00:01.500", "1970-01-01 00:00:01.000"]
    assert texts([-1], moment) == ["1969-12-31 23:59:59.999999999"]
    nested = pa.array([[{"t": 7}]], pa.list_(pa.struct([("t", moment)])))
    assert Cells().column("x", nested) == ["[{t: 1970-01-01 00:00:00.000000007}]"]
    assert texts([date(2024, 8, 8)]) == ["2024-08-08"]


def test_other_kinds_of_values() -> None:
    assert texts([True, False, None]) == ["true", "false", None]
    assert texts([b"\x00\xff"]) == ["0x00ff"]
    assert texts([b"a" * 100]) == [f"0x{'61' * 32}… (100 bytes)"]
    assert texts([["a", None, "b\nc"]]) == ['["a", null, "b\\nc"]']
    assert texts([list(range(100))]) == ["[0, 1, 2, 3, 4, 5, … 94 more]"]
    assert texts([{"a": 1, "b": None}, None]) == ["{a: 1, b: null}", None]
    assert texts([[("k", 1)]], pa.map_(pa.string(), pa.int64())) == ['{"k": 1}']
    assert texts(["x", None], pa.dictionary(pa.int8(), pa.string())) == ["x", None]
    assert texts([None], pa.null()) == [None]


def test_a_struct_without_fields_is_shown() -> None:
    assert texts([{}, None], pa.struct([])) == ["{}", None]


def test_a_long_text_is_cut_and_an_id_is_not() -> None:
    cells = Cells()
    (text,) = cells.column("words", pa.array(["word " * 200_000]))
    assert text == f"{('word ' * 200_000)[:LONGEST]}… (1,000,000 characters)"
    assert list(cells.shortened) == ["words"]
    assert texts([HASH * 4]) == [HASH * 4]
    assert texts(["word " * 200], full=True) == ["word " * 200]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\x1b[31mred\x07", r"a\x1b[31mred\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("tab\tbell\r", r"tab\tbell\r"),
        ("\ud800", r"\ud800"),
        ("é 日本 😀", "é 日本 😀"),
    ],
)
def test_what_steers_a_terminal_is_told_and_not_sent(text: str, told: str) -> None:
    assert printable(text) == told
    grid = Grid(text, ("n", NUMBER), title=text)
    grid.add_row(text, Text(text, style="red"))
    assert not {"\x1b", "\x9b", "\u202e", "\x07", "\r", "\t"} & set("".join(shown(grid)))


def test_lines_of_a_text_are_lines_and_a_line_end_alone_is_told() -> None:
    assert texts(["a\nb", "\n", "a\n", "a\n\x1b"]) == ["a\nb", r"\n", r"a\n", "a\n\\x1b"]
    grid = Grid("text", "more")
    grid.add_row("a\nb", "c")
    assert shown(grid)[2:] == ["a     c", "b"]


def test_columns_that_fit_are_a_table() -> None:
    grid = Grid("name", ("n", NUMBER))
    grid.add_row("日本", "5")
    grid.add_row(RUN, "12345")
    assert shown(grid) == [f"name{' ' * 38}n", "─" * 43, f"日本{' ' * 38}5", f"{RUN}  12345"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("columns", [1, 2, 5, 16, 47])
def test_nothing_is_lost_at_any_width(width: int, columns: int) -> None:
    heads: list[Head] = [(f"column_{at}", NUMBER if at % 2 else "text") for at in range(columns)]
    grid = Grid(*heads)
    for row in range(2):
        grid.add_row(*(f"{row}{at:03}" * 3 for at in range(columns)))
    lines = shown(grid, width)
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for row in range(2):
        assert all(f"{row}{at:03}" * 3 in words for at in range(columns))
    assert all(f"column_{at}" in words for at in range(columns))


def test_an_id_that_does_not_fit_beside_its_name_stands_below_it() -> None:
    grid = Grid("a_name_of_some_length", "run", *(f"c{at}" for at in range(20)))
    grid.add_row(HASH, RUN, *("0123456789",) * 20)
    lines = shown(grid)
    assert lines[1:4] == ["a_name_of_some_length", f"  {HASH}", f"run{' ' * 20}{RUN}"]


def test_prose_is_wrapped_and_the_rest_is_not() -> None:
    grid = Grid("run", ("what it is", PROSE))
    grid.add_row(RUN, "a long story that goes on and on, and then on again, to its very end")
    lines = shown(grid)
    assert lines[2].startswith(RUN)
    assert " ".join(line[36:].strip() for line in lines[2:]).endswith("on again, to its very end")


def test_records_are_made_when_asked_for_and_numbered() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    assert [line for line in answered(table, vertical=True) if line[0] != "─"] == ["a  1", "b  x", "a  2", "b  null"]


def test_no_rows_have_their_columns() -> None:
    schema = pa.schema([("ts", pa.timestamp("ns", "UTC")), ("price", pa.float64())])
    assert answered(schema.empty_table()) == ["ts  price", "─────────", "no rows"]
    wide = pa.schema([(f"column_{at}", pa.int64()) for at in range(47)])
    lines = answered(wide.empty_table())
    assert lines[-1] == "no rows"
    assert "column_46" in " ".join(lines)


def test_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = answered(pa.table({"n": range(PAGE + 1)}), is_bounded=True)
    assert lines[-1].strip() == "999"
    assert capsys.readouterr().err == "the first 1,000 rows; --limit N gives more, --format csv gives all\n"
    wide = pa.table({f"a_long_name_{at}": [float(n) / 7 for n in range(200)] for at in range(20)})
    assert sum(line.startswith("───") for line in answered(wide)) == 100
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "the first 100 records; --limit N gives more, --format csv gives all"
    assert said[1] == "shortened: a_long_name_0, a_long_name_1 and 18 more; --full shows them whole"
    answered(pa.table({"a_name_without_end" * 9: [1 / 3]}))
    assert capsys.readouterr().err == "shortened: 1 columns; --full shows them whole\n"


def test_an_answer_of_many_rows_comes_in_pages() -> None:
    lines = answered(pa.table({"n": range(2 * PAGE + 1)}), is_bounded=False)
    assert [line.strip() for line in lines].count("n") == 3
    assert [line.strip() for line in lines if line.strip().isdigit()] == [str(n) for n in range(2 * PAGE + 1)]
