"""Blocks of comma-separated lines as typed columns, and every line that does not fit told apart with its reason.

Cutting lines into cells belongs here; what a cell may hold is `cells`, which columns a format has is each reader's.
Nothing here loops over lines, except over the few that are bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.cells import Field, check
from tracebank_models.market.chunks import RejectedLine
from tracebank_models.market.codecs import iter_line_blocks

MAX_TEXT = 4096
"""Characters of a rejected line that are kept."""


@dataclass(slots=True)
class Decoded:
    """What became of a block of lines: each is a row, or ignored, or rejected."""

    rows: pl.DataFrame
    """`line` and one column per field, in that order, for the lines that are good."""
    ignored: dict[str, int]
    rejected: list[RejectedLine]


def numbered_blocks(path: Path, lines: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield blocks of at most `lines` lines of a file, each with the 1-based number of its first line."""
    number = 1
    for block in iter_line_blocks(path, lines):
        yield number, block
        number += len(block)


def decode_block(
    lines: list[bytes],
    first_line: int,
    names: Sequence[str],
    fields: Sequence[Field],
    *,
    header: bytes | None = None,
    quoted: bool = False,
) -> Decoded:
    """Decode a block of comma-separated lines.

    Args:
        lines: The lines, without line ends.
        first_line: The 1-based number of the first of them.
        names: A name for each field of a line, in order.
        fields: The fields that are wanted, a subset of `names`.
        header: A line equal to this is ignored, wherever it stands (archives repeat it in each member).
        quoted: Whether cells may stand in double quotes, which are then taken off. A comma in quotes is not known.

    Returns:
        The rows and what became of the other lines; rows + ignored + rejected = lines.
    """
    kept, numbers, ignored, rejected = well_formed(lines, first_line, len(names), header)
    raw = parse_text(kept, names, [field.name for field in fields], quoted=quoted)
    rows, bad = check(raw.with_columns(line=pl.Series(numbers, dtype=pl.Int64)), fields, lambda i: shown_line(kept[i]))
    return Decoded(rows, ignored, sorted([*rejected, *bad], key=lambda line: line.line))


def parse_text(
    lines: list[bytes], names: Sequence[str], wanted: Sequence[str], *, quoted: bool = False
) -> pl.DataFrame:
    """Cut lines that all have `len(names)` fields into the wanted columns of text; an empty cell is null."""
    if not lines:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    joined = b"\n".join(lines) + b"\n"
    try:
        frame = _read_csv(joined, names, wanted, lossy=False)
    except pl.exceptions.ComputeError:  # not UTF-8: the odd characters are shown, and the lines judged one by one
        frame = _read_csv(joined, names, wanted, lossy=True)
    if frame.height != len(lines):
        raise RuntimeError(f"{len(lines)} lines were parsed as {frame.height} rows")
    if quoted and b'"' in joined:
        bare = pl.all().str.strip_chars('"')
        frame = frame.select(pl.when(bare != "").then(bare))
    return frame.select(wanted)


def _read_csv(joined: bytes, names: Sequence[str], wanted: Sequence[str], *, lossy: bool) -> pl.DataFrame:
    return pl.read_csv(
        joined,
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        columns=sorted(names.index(name) for name in wanted),
        quote_char=None,
        encoding="utf8-lossy" if lossy else "utf8",
    )


def shown_line(line: bytes) -> str:
    """The start of a line as text."""
    return line[: 4 * MAX_TEXT].decode("utf-8", "replace")[:MAX_TEXT]


def well_formed(
    lines: list[bytes], first_line: int, width: int, header: bytes | None
) -> tuple[list[bytes], NDArray[np.int64], dict[str, int], list[RejectedLine]]:
    """Sort out blank lines, headers and lines with too few or too many fields.

    Returns:
        The good lines, their numbers, and what became of the others.
    """
    numbers = np.arange(first_line, first_line + len(lines), dtype=np.int64)
    good = _field_counts(lines) == width
    if header is not None and header in lines:
        good &= np.fromiter((line != header for line in lines), np.bool_, len(lines))
    if good.all():
        return lines, numbers, {}, []
    empty = lines.count(b"")
    ignored = {"blank": empty} if empty else {}
    rejected = []
    for index in (index for index in np.flatnonzero(~good).tolist() if lines[index]):
        line = lines[index]
        if line == header or not line.strip():
            kind = "header" if line == header else "blank"
            ignored[kind] = ignored.get(kind, 0) + 1
        else:
            reason = f"the line has {line.count(b',') + 1} fields, not {width}"
            rejected.append(RejectedLine(first_line + index, reason, shown_line(line)))
    return [lines[index] for index in np.flatnonzero(good).tolist()], numbers[good], ignored, rejected


def _field_counts(lines: list[bytes]) -> NDArray[np.int64]:
    octets = np.frombuffer(b"\n".join(lines) + b"\n", np.uint8)
    ends = np.flatnonzero(octets == ord("\n"))
    commas = np.flatnonzero(octets == ord(","))
    return np.diff(np.searchsorted(commas, ends), prepend=0) + 1
