"""What the process behind the SQL page answers: rows to look at, points of a chart, and exports as they come.

It asks as `tracebank sql` does, and is refused what that is refused. Its limits are the page's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.cli.cells import Cells
from tracebank.cli.output import WRITERS
from tracebank.explorer.sql_limits import EXPORT_BYTES, MEMORY, ROWS
from tracebank.explorer.worker import Busy, Refused, TookTooLong
from tracebank.query.connection import connect
from tracebank.query.errors import OUT_OF_TIME, SqlError, SqlLimit
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.settings import Settings

_CELLS: Final = 4 << 20
"""Characters of cells that a page shows."""
_PATIENCE: Final = 1.5
"""Seconds that whoever holds the store is waited for."""
_START: Final = 20.0
"""Seconds that an owner of the store has to start, or a writer to let a file go."""
_BY_FLAG: Final = re.compile(r"; give it: --param (\w+)=VALUE, in Python parameters=\{.*?\}")


def answer(
    settings: Settings,
    form: str,
    query: str,
    parameters: Mapping[str, str],
    seconds: float,
    axes: Mapping[str, str] | None = None,
) -> dict[str, Any] | Callable[[BinaryIO], None]:
    """An answer to look at, or an export.

    Args:
        settings: of the home.
        form: `rows`, or a form of `tracebank.cli.output.WRITERS`.
        query: one statement.
        parameters: values by name.
        seconds: that the engine has.
        axes: columns of a chart of the rows: `x`, `y` and, or empty, `by`.

    Returns:
        Of `rows`: `columns` (name, type, whether it holds numbers), `rows` (texts; null for null), `more` (whether rows
        were left out), `shortened` (columns that hold more than is shown), `seconds`, `rows_read` (by the engine; null
        where it does not tell) and `points`, see `_points`. Of other forms what writes the file.

    Raises:
        Refused: by the engine, or it takes more memory than it may; one line.
        TookTooLong: it takes more time than it may.
        Busy: somebody holds the series store, and who; or it is not to be had.
    """
    if form != "rows":
        return lambda file: _export(settings, form, query, parameters, seconds, file)
    with _told(settings, seconds) as waiting:
        return _rows(waiting, query, parameters, seconds, axes)


@contextmanager
def _told(settings: Settings, seconds: float) -> Iterator[Settings]:
    """Settings that wait no longer for the series store than a page may, and faults in words that fit one."""
    try:
        if settings.series.drivername == "chdb":
            from tracebank.engines.clickhouse.reach import check_heard

            check_heard(Path(str(settings.series.database)), _PATIENCE)
        wait = _PATIENCE if settings.series.drivername == "duckdb" else _START
        yield settings.model_copy(update={"lock_timeout": wait})
    except SqlLimit as error:
        if str(error) == OUT_OF_TIME:
            more = f"tracebank sql --timeout {10 * seconds:g}"
            raise TookTooLong(f"the query took longer than {seconds:g} s; narrow it, or run it by {more}") from None
        more = f"tracebank sql --memory {4 * MEMORY >> 30}GiB"
        raise Refused(f"the query took more memory than {MEMORY >> 30} GiB; narrow it, or run it by {more}") from None
    except SqlError as error:
        raise Refused(_BY_FLAG.sub(r"; give it below the query: \1=VALUE", str(error))) from None
    except StoreError as error:
        raise Busy(str(error)) from None


def _rows(
    settings: Settings, query: str, parameters: Mapping[str, str], seconds: float, axes: Mapping[str, str] | None
) -> dict[str, Any]:
    began, read = time.monotonic(), [0]

    def progress(rows: int, _: int) -> None:
        read[0] = max(read[0], rows)

    with connect(settings).open(
        query, parameters=parameters, limit=ROWS + 1, timeout=seconds, memory=MEMORY, progress=progress
    ) as opened:
        whole = pa.Table.from_batches(opened.batches, schema=opened.schema)
    table, cells = whole.slice(0, ROWS), Cells()
    columns = [cells.column(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    rows = list(_within(zip(*columns, strict=True)))
    return {
        "columns": [{"name": f.name, "type": str(f.type), "is_number": _is_number(f.type)} for f in table.schema],
        "rows": rows,
        "more": len(rows) < whole.num_rows,
        "shortened": list(cells.shortened),
        "seconds": time.monotonic() - began,
        "rows_read": read[0] or None,
        "points": _points(table.slice(0, len(rows)), axes) if axes else None,
    }


def _within(rows: Iterator[tuple[str | None, ...]]) -> Iterator[tuple[str | None, ...]]:
    """The first rows, as many as a page can hold."""
    left = _CELLS
    for row in rows:
        left -= sum(len(text or "") + 9 for text in row)
        if left < 0:
            return
        yield row


def _points(table: pa.Table, axes: Mapping[str, str]) -> dict[str, Any]:
    """What a chart of rows is drawn from.

    Returns:
        `x`, `y`, `by` and `labels` (texts of x) as lists, with `kind` of x: `number`, `time` (seconds since 1970) or
        `label`, and `names` of the columns; or `problem`, one line that says why there is no chart.
    """
    names = table.column_names
    asked = {axis: axes.get(axis, "") for axis in ("x", "y", "by")}
    asked["x"] = asked["x"] or next(iter(names), "")
    numbers = [field.name for field in table.schema if _is_number(field.type) and field.name != asked["x"]]
    asked["y"] = asked["y"] or next(iter(numbers), "")
    for axis, name in asked.items():
        if name and name not in names:
            return {
                "problem": f"chart, {axis}: column {name[:80]!r} is not in the answer; it has {', '.join(names[:20])}"
            }
    if not asked["y"]:
        return {"problem": "chart: the answer has no column of numbers to be drawn by another"}
    if not _is_number(table.schema.field(asked["y"]).type):
        return {"problem": f"chart, y: column {asked['y']!r} does not hold numbers"}
    x, kind = _along(table[asked["x"]])
    return {
        "names": list(asked.values()),
        "kind": kind,
        "x": x,
        "labels": _texts(table[asked["x"]]),
        "y": pc.cast(table[asked["y"]], pa.float64(), safe=False).to_pylist(),
        "by": _texts(table[asked["by"]]) if asked["by"] else [],
    }


def _texts(column: pa.ChunkedArray[Any]) -> list[str]:
    return ["null" if text is None else text for text in Cells().column("", column)]


def _along(column: pa.ChunkedArray[Any]) -> tuple[list[Any], str]:
    if _is_number(column.type):
        return pc.cast(column, pa.float64(), safe=False).to_pylist(), "number"
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        nanoseconds = pc.cast(pc.cast(column, pa.timestamp("ns")), pa.int64())
        return pc.divide(pc.cast(nanoseconds, pa.float64(), safe=False), 1e9).to_pylist(), "time"
    return [], "label"


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _export(
    settings: Settings, form: str, query: str, parameters: Mapping[str, str], seconds: float, file: BinaryIO
) -> None:
    with (
        _told(settings, seconds) as waiting,
        connect(waiting).open(query, parameters=parameters, timeout=seconds, memory=MEMORY) as opened,
    ):
        WRITERS[form](file, opened.schema, _counted(opened.batches))


def _counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches up to the size of an export."""
    left = EXPORT_BYTES
    for batch in batches:
        left -= batch.nbytes
        if left < 0:
            most = f"{EXPORT_BYTES >> 30} GiB"
            raise Refused(f"the answer has more than {most}; narrow it, or write it by tracebank sql --output FILE")
        yield batch
