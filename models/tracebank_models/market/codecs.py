"""Lines of a market file, whatever it was packed with.

Cutting into lines belongs here; unpacking is `unpacking`, and what a line means is each reader's. Memory is bounded
throughout: by the block asked for, by `MAX_BLOCK_BYTES`, and by `MAX_LINE_BYTES` for a line that never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tracebank_models.market.unpacking import UnreadableFileError, unpacked

__all__ = ["LongLineError", "UnreadableFileError", "iter_byte_blocks", "iter_line_blocks", "read_head"]

MAX_LINE_BYTES = 16 << 20
"""A file with a longer line is refused: the longest that a venue sends, a full book, has less than one MiB."""

MAX_BLOCK_BYTES = 32 << 20
"""A block of lines never holds more than about this many bytes, however many lines were asked for."""

PARQUET_MAGIC = b"PAR1"

_READ_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


class LongLineError(UnreadableFileError):
    """A line is longer than `MAX_LINE_BYTES`."""


def iter_line_blocks(path: Path, lines: int = 65536) -> Iterator[list[bytes]]:
    r"""Yield a file's lines in blocks of at most `lines`, without their line ends (LF or CRLF).

    Every line comes, blank ones too, so that counting them gives line numbers; a missing last line end is no matter. A
    block is shorter than `lines` at the end of the file and where `MAX_BLOCK_BYTES` would be passed.

    Args:
        path: The file; its content decides how it is unpacked.
        lines: Most lines per block, at least 1.

    Yields:
        Lists of 1 to `lines` lines.

    Raises:
        UnreadableFileError: The packed data is cut short, corrupt or a bomb, or a line is too long.
        OSError: The file cannot be opened or read.
    """
    if lines < 1:
        raise ValueError(f"lines: {lines} is not allowed: at least 1")
    pending: list[bytes] = []
    held = 0
    for block in iter_byte_blocks(path, _READ_BYTES):
        pending += block[: -1 if block.endswith(b"\n") else None].split(b"\n")
        held += len(block)
        start = 0
        while len(pending) - start >= lines:
            yield pending[start : start + lines]
            start += lines
            held = 0
        if held >= MAX_BLOCK_BYTES and start < len(pending):
            yield pending[start:]
            start, held = len(pending), 0
        del pending[:start]
    if pending:
        yield pending


def iter_byte_blocks(path: Path, size: int = _READ_BYTES) -> Iterator[bytes]:
    r"""Yield a file's unpacked bytes in blocks that end on a line boundary, with every CRLF made LF.

    A byte order mark at the start is dropped. Only the last block may lack its final line end. The members of a zip
    archive follow each other in name order, each starting on a line of its own.

    Args:
        path: The file; its content decides how it is unpacked.
        size: About how many bytes a block has, at least 1; a block with a longer line is longer.

    Yields:
        Non-empty blocks of whole lines.

    Raises:
        UnreadableFileError: The packed data is cut short, corrupt or a bomb, or a line is too long.
        OSError: The file cannot be opened or read.
    """
    if size < 1:
        raise ValueError(f"size: {size} is not allowed: at least 1")
    for block in _whole_lines(path, unpacked(path, size), size):
        yield block.replace(b"\r\n", b"\n") if b"\r" in block else block


def read_head(path: Path, lines: int = 20) -> list[bytes]:
    """Return the first lines of a file, for telling its format; of a Parquet file without line ends, its mark.

    Args:
        path: The file.
        lines: Most lines returned.

    Raises:
        UnreadableFileError: The packed data is cut short, corrupt or a bomb, or a line is too long.
        OSError: The file cannot be opened or read.
    """
    try:
        with closing(iter_line_blocks(path, lines)) as blocks:  # type: ignore[type-var]
            return next(blocks, [])
    except LongLineError:
        start = next(unpacked(path, len(PARQUET_MAGIC)), b"")
        if start.startswith(PARQUET_MAGIC):
            return [start]
        raise


def _whole_lines(path: Path, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Cut pieces of any length into blocks of at least `size` bytes that end on a line boundary."""
    tail: list[bytes] = []
    held, done, first = 0, 0, True
    for raw in pieces:
        piece = raw.removeprefix(_BOM) if first else raw
        first = False
        end = piece.rfind(b"\n") + 1
        if end and held + end >= size:
            yield b"".join((*tail, piece[:end]))
            done += held + end
            tail, held = [piece[end:]], len(piece) - end
        else:
            tail.append(piece)
            held += len(piece)
        if held > MAX_LINE_BYTES:
            joined = b"".join(tail)
            _refuse_long_line(path, joined, done)
            tail = [joined]
    rest = b"".join(tail)
    if rest:
        _refuse_long_line(path, rest, done)
        yield rest


def _refuse_long_line(path: Path, text: bytes, done: int) -> None:
    start = text.rfind(b"\n") + 1
    if len(text) - start > MAX_LINE_BYTES:
        raise LongLineError(
            f"{path}: the line that begins at byte {done + start:,} is longer than {MAX_LINE_BYTES >> 20} MiB, "
            "the longest that is read"
        )
