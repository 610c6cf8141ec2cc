"""Bytes of a market file as lines, whatever it was packed with: gzip, zip, zstd or nothing, told by content.

Opening, decompressing and cutting into lines belong here; what a line means does not (that is each reader's). Memory is
bounded throughout: by the block asked for, by `MAX_BLOCK_BYTES`, and by `MAX_LINE_BYTES` for a line that never ends.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import zstandard

MAX_LINE_BYTES = 8 << 20
"""A longer line is cut to this many bytes and the rest of it dropped, so that its reader rejects it as one bad line."""

MAX_BLOCK_BYTES = 32 << 20
"""A block of lines never holds more than about this many bytes, however many lines were asked for."""

_READ_BYTES = 1 << 20
_ZSTD_READ_BYTES = 4 << 10  # a zstd block of a few bytes may unpack to 128 KiB: small reads bound what one call returns
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_BOM = b"\xef\xbb\xbf"


class UnreadableFileError(ValueError):
    """A compressed file is cut short, corrupt, encrypted or packed in a way that is not supported."""


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
        UnreadableFileError: The packed data is cut short or corrupt.
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
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    if size < 1:
        raise ValueError(f"size: {size} is not allowed: at least 1")
    for block in _whole_lines(_unpacked(path, size), size):
        yield block.replace(b"\r\n", b"\n") if b"\r" in block else block


def read_head(path: Path, lines: int = 20) -> list[bytes]:
    """Return the first lines of a file, for telling its format.

    Args:
        path: The file.
        lines: Most lines returned.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    with closing(iter_line_blocks(path, lines)) as blocks:  # type: ignore[type-var]
        return next(blocks, [])


def _whole_lines(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Cut pieces of any length into blocks of at least `size` bytes that end on a line boundary."""
    tail: list[bytes] = []
    held = 0
    first, dropping = True, False
    for raw in pieces:
        piece = raw.removeprefix(_BOM) if first else raw
        first = False
        end = piece.rfind(b"\n") + 1
        if dropping:
            start = piece.find(b"\n")
            if start < 0:
                continue
            piece, end, dropping = piece[start:], end - start, False
        if end and held + end >= size:
            yield b"".join((*tail, piece[:end]))
            tail, held = [piece[end:]], len(piece) - end
            continue
        tail.append(piece)
        held += len(piece)
        if held > MAX_LINE_BYTES and not end:
            joined = b"".join(tail)
            tail, held = _bounded(joined)
            dropping = len(joined) > held
    rest = b"".join(tail)
    if rest:
        yield rest


def _bounded(joined: bytes) -> tuple[list[bytes], int]:
    """Cut the unfinished last line of a block to `MAX_LINE_BYTES`."""
    keep = joined[: joined.rfind(b"\n") + 1 + MAX_LINE_BYTES]
    return [keep], len(keep)


def _unpacked(path: Path, size: int) -> Iterator[bytes]:
    """Yield the content of a file, unpacked, in pieces of about `size` bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        try:
            if magic.startswith(_GZIP_MAGIC):
                with gzip.GzipFile(fileobj=file) as unzipped:
                    yield from _pieces(unzipped, size)
            elif magic in _ZIP_MAGIC:
                yield from _zip_members(file, size)
            elif magic == _ZSTD_MAGIC or magic[1:] == _ZSTD_SKIPPABLE:
                yield from _zstd_frames(file)
            else:
                yield from _pieces(file, size)
        except EOFError as error:
            raise UnreadableFileError(f"{path}: the compressed data is cut short") from error
        except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, zstandard.ZstdError) as error:
            raise UnreadableFileError(f"{path}: the compressed data is corrupt: {error}") from error


def _pieces(file: BinaryIO | gzip.GzipFile, size: int) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


def _zip_members(file: BinaryIO, size: int) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        for member in sorted(archive.infolist(), key=lambda info: info.filename):
            if member.is_dir():
                continue
            if member.flag_bits & 1:
                raise zipfile.BadZipFile(f"member {member.filename!r} is encrypted")
            last = b"\n"
            try:
                with archive.open(member) as unzipped:
                    while piece := unzipped.read(size):
                        yield piece
                        last = piece
            except NotImplementedError as error:
                raise zipfile.BadZipFile(f"member {member.filename!r}: {error}") from error
            if not last.endswith(b"\n"):
                yield b"\n"


def _zstd_frames(file: BinaryIO) -> Iterator[bytes]:
    # The library's own stream reader takes a cut frame for the end of the file, hence frame by frame.
    unpacker = zstandard.ZstdDecompressor()
    frame = unpacker.decompressobj()
    unfinished = False
    while packed := file.read(_ZSTD_READ_BYTES):
        while packed:
            piece = frame.decompress(packed)
            unfinished = not frame.eof
            packed = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = unpacker.decompressobj()
            if piece:
                yield piece
    if unfinished:
        raise EOFError
