"""The released table in both readings, out of a few rows in its format."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from tracebank_models.identifier_swaps.released import COLUMNS, read_released

_LINE = "len, str = str, len"


def _row(body: str, header: str = "def f(a):", answer: str = "1", line: str = _LINE) -> tuple[str, str, str]:
    """A row whose bodies call len of something."""
    other = body.replace("len", "?").replace("str(", "len(").replace("?", "str")
    classes = f'[""" \n    {body}\n""", """ \n    {other}\n"""]'
    return f'{line}\n{header}\n    """Doc."""', classes, answer


_ROWS = [
    _row("return str(len(a))"),
    _row(r"return str(len(a)) + '\n'"),  # read as text of Python, the line breaks within the quotes
    _row(r"return str(len(a)) + '\t'"),
    _row("return str(len(a))"),
    _row("return str(len(a)) * 2", header="def f(a: str):"),
    _row(r"return str(len(a)) + '\n' + a", header="def f(a: str):"),
    _row("return str(len(a)) * 2", header="def f(len):"),
]


def _table(path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.mark.parametrize("name", ["swaps.csv", "swaps.csv.gz"])
def test_both_variants_and_their_defects(tmp_path: Path, name: str) -> None:
    path = _table(tmp_path / name, _ROWS)
    evaluated, repaired = read_released(path, "as_evaluated"), read_released(path, "repaired")
    for found, broken, header in ((evaluated, 2, 1), (repaired, 0, 2)):
        assert dict(found.counts.select("step", "count").iter_rows()) == {
            "rows": 7,
            "distinct_prompts": 3,
            "altered": 3,
            "not_python": broken,
            "names_header": header,
            "names_parameter": 1,
            "names_assigned": 0,
            "names_declared": 0,
            "same_bodies": 0,
            "examples": 6,
        }
        assert sum(not one.parses for one in found.examples) == broken
        assert [one.header_use for one in found.examples] == [False, False, False, True, True, False]
        assert found.counts["selection"].unique().to_list() == [found.examples[0].selection]
    assert [one.line for one in repaired.examples] == [1, 2, 3, 5, 6, 7]
    assert repaired.examples[1].bad == " \n    return str(len(a)) + '\\n'\n"
    assert evaluated.examples[1].bad == " \n    return str(len(a)) + '\n'\n"
    assert repaired.examples[1].good == " \n    return len(str(a)) + '\\n'\n"
    assert (repaired.examples[0].first, repaired.examples[0].second, repaired.examples[0].source) == (
        "len", "str", "swaps"
    )  # fmt: skip
    alike = [one.example == other.example for one, other in zip(evaluated.examples, repaired.examples, strict=True)]
    assert alike == [True, False, False, True, False, True]
    functions = [[one.function for one in found.examples] for found in (evaluated, repaired)]
    assert functions[0] == functions[1], "a function is one cluster however it is read"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x", "[1, 2]", "1"), r"row 1: classes is '\[1, 2\]'; allowed: a list of two texts in triple quotes"),
        (("a", '["""b""", """c"""', "1"), "row 1: classes is"),
        (_row("return 1", answer="0"), "row 1: answer_index is '0'; allowed: 1"),
        (_row("return 1", line="len, str = len, str"), "row 1: the prompt begins with 'len, str = len, str'; allowed"),
        (_row("return 1", header="class A:"), "row 1: prompt and body are .* allowed: one function"),
    ],
)
def test_rows_of_another_kind_are_one_line(tmp_path: Path, row: tuple[str, ...], message: str) -> None:
    path = _table(tmp_path / "swaps.csv", [row])
    with pytest.raises(ValueError, match=message) as failure:
        read_released(path, "repaired")
    assert "\n" not in str(failure.value)


def test_other_columns_and_variants_are_one_line(tmp_path: Path) -> None:
    path = _table(tmp_path / "other.csv", [("a", "b")], columns=("prompt", "answer"))
    with pytest.raises(
        ValueError, match=r"^other.csv row 1: columns prompt, answer are not allowed; allowed: prompt, cl"
    ):
        read_released(path, "repaired")
    with pytest.raises(ValueError, match=r"^variant: 'raw' is not allowed; allowed: as_evaluated, repaired$"):
        read_released(path, "raw")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^none.csv: cannot be read"):
        read_released(tmp_path / "none.csv", "repaired")
