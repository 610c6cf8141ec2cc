"""Whether an answer is the right one: a found table against the expected one, by the tolerances of the workload.

Rows are compared as a set, matched by the workload's key. Nothing here knows an engine or a question.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.workloads import Output, Tolerance, Workload
from tracebank_schemas.series import TIMESTAMP

RELATIVE: Final = {Tolerance.EXACT: 0.0, Tolerance.SUM: 1e-9, Tolerance.VARIANCE: 1e-7}
"""Largest difference of a value, relative to it."""
ABSOLUTE: Final = 1e-12
"""Largest difference whatever the value; in units of the column's largest value where values have both signs and are
above one, since sums that cancel out are only as exact as their terms."""

_TYPES: Final[dict[str, pa.DataType]] = {
    "timestamp": TIMESTAMP,
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
}
_MOST_MESSAGES: Final = 20


def answer_schema(workload: Workload) -> pa.Schema:
    """Arrow schema that an answer of a workload has."""
    return pa.schema([pa.field(output.name, _TYPES[output.type]) for output in workload.outputs])


def compare(workload: Workload, expected: pa.Table, found: pa.Table) -> list[str]:
    """Hold an answer against the right one.

    Args:
        workload: The question.
        expected: The right answer.
        found: The answer to judge; its rows and columns may come in any order.

    Returns:
        What differs, one line for each column or set of rows, with an example; empty where the answer is right.
    """
    faults = [f"expected answer: {fault}" for fault in _shape_faults(workload, expected)]
    faults += _shape_faults(workload, found)
    if faults:
        return faults
    right, judged = _frame(workload, expected), _frame(workload, found)
    faults = [f"expected answer: {fault}" for fault in _key_faults(workload, right)]
    faults += _key_faults(workload, judged)
    if right.height != judged.height:
        faults.append(f"{judged.height} rows, expected {right.height}")
    if faults or not right.select(workload.key).equals(judged.select(workload.key)):
        return (faults + _unmatched(workload, right, judged))[:_MOST_MESSAGES]
    values = [output for output in workload.outputs if output.name not in workload.key]
    messages = [_difference(workload, output, right, judged) for output in values]
    return [message for message in messages if message][:_MOST_MESSAGES]


def _shape_faults(workload: Workload, table: pa.Table) -> list[str]:
    wanted = answer_schema(workload)
    if sorted(table.schema.names) != sorted(wanted.names):
        return [f"columns {table.schema.names}, expected {wanted.names}"]
    types = {field.name: table.schema.field(field.name).type for field in wanted}
    faults = [
        f"column {field.name} is {types[field.name]}, expected {field.type}"
        for field in wanted
        if not _fits(types[field.name], field.type)
    ]
    if faults:
        return faults
    strict = [output.name for output in workload.outputs if not output.nullable]
    return [f"column {name} has nulls and may have none" for name in strict if table.column(name).null_count]


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if isinstance(found, pa.DictionaryType):
        found = found.value_type
    return bool(found == wanted or (wanted == pa.string() and (pa.types.is_large_string(found) or _is_view(found))))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind))


def _frame(workload: Workload, table: pa.Table) -> pl.DataFrame:
    """The answer in the declared columns, sorted by its key."""
    texts = [output.name for output in workload.outputs if output.type == "string"]
    frame = pl.DataFrame(table).select(answer_schema(workload).names).with_columns(pl.col(texts).cast(pl.String))
    return frame.sort(workload.key)


def _key_faults(workload: Workload, frame: pl.DataFrame) -> list[str]:
    """Keys that stand twice, in a frame sorted by them."""
    key = frame.select(workload.key)
    repeated = pl.all_horizontal(pl.all() == pl.all().shift(1))
    twice = key.filter(repeated)
    return [f"key {_named(twice, 0)} stands twice{_more(twice.height)}"] if twice.height else []


def _unmatched(workload: Workload, right: pl.DataFrame, judged: pl.DataFrame) -> list[str]:
    messages = []
    for what, here, there in (("missing", right, judged), ("unexpected", judged, right)):
        rows = here.select(workload.key).join(there, on=workload.key, how="anti")
        if rows.height:
            messages.append(f"row {_named(rows, 0)} is {what}{_more(rows.height)}")
    return messages


def _difference(workload: Workload, output: Output, right: pl.DataFrame, judged: pl.DataFrame) -> str:
    expected, found = right[output.name], judged[output.name]
    wrong = _wrong(output, expected, found)
    at = wrong.arg_true()
    if not len(at):
        return ""
    row = int(at[0])
    allowed = "" if output.tolerance is Tolerance.EXACT else f" (relative {RELATIVE[output.tolerance]:g})"
    return (
        f"column {output.name}, row {_named(right.select(workload.key), row)}: {_shown(found[row])},"
        f" expected {_shown(expected[row])}{allowed}{_more(len(at))}"
    )


def _wrong(output: Output, expected: pl.Series, found: pl.Series) -> pl.Series:
    unequal = expected.ne_missing(found)
    if output.tolerance is Tolerance.EXACT or not unequal.any():
        return unequal
    near = (expected - found).abs() <= expected.abs() * RELATIVE[output.tolerance] + ABSOLUTE * _scale(expected)
    return unequal & ~near.fill_null(False)


def _scale(values: pl.Series) -> float:
    low, high = values.min(), values.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low >= 0 or high <= 0:
        return 1.0
    return max(1.0, float(high), -float(low))


def _named(keys: pl.DataFrame, row: int) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in keys.row(row, named=True).items())


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return repr(value) if isinstance(value, float) else str(value)


def _more(rows: int) -> str:
    return f" (and {rows - 1} more)" if rows > 1 else ""
