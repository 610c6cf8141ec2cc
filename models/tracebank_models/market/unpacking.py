"""Bytes of a market file, unpacked: gzip, zip, zstd or nothing, told by content, and bombs told by how they expand.

A member of a zip archive is a file with a path of its own, the member's name below that of the archive
(`day.zip/BTCUSDT.csv`). Lines are `codecs`' to cut. Memory is bounded by what one call of a decompressor may return.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import zstandard

DEFLATE_EXPANSION, ZSTD_EXPANSION = 240, 1000
"""How many times its size packed data may give. A quiet book of which nothing but the time changes, the extreme, gives
115 by gzip and up to 470 by zstd; one line repeated for ever gives 260 to 1030, and above 10,000."""

STRETCH_BYTES = 32 << 20
"""Expansion is measured over stretches of this many unpacked bytes, so that a large file is no offence."""
_STRETCHES = 16
"""Stretches that are taken together, before measuring begins anew."""

MAX_MEMBERS = 1000
"""An archive with more members is to be unpacked first."""

_MAX_DIRECTORY_BYTES = 4 << 20
_PACKED_READ_BYTES = 16 << 10
_ZSTD_READ_BYTES = 4 << 10  # a zstd block of a few bytes may unpack to 128 KiB: small reads bound what one call returns
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_TAR_MAGIC, _TAR_AT = b"ustar", 257
_OTHER_PACKINGS = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class UnreadableFileError(ValueError):
    """A file is packed in a way that is not read, cut short, corrupt, encrypted, or expands beyond all measure."""


class UnknownPackingError(UnreadableFileError):
    """A file is packed in a way that is not read here, but may be once it is unpacked."""


def unpacked(path: Path, size: int) -> Iterator[bytes]:
    """Yield the content of a file in pieces of about `size` bytes.

    Args:
        path: The file, or a member of an archive; its content decides how it is unpacked. The members of an archive
            that is named as a whole follow each other in name order, each starting on a line of its own.
        size: Bytes of a piece of a file that is not packed; others are smaller, or up to a few MiB.

    Raises:
        UnreadableFileError: The data is cut short, corrupt, encrypted, packed otherwise, or a bomb.
        OSError: The file cannot be opened or read.
    """
    archive, member = _place(path)
    with _CountedFile(io.FileIO(archive)) as file, _said_clearly(path):
        if member is None:
            yield from _layer(file, size, file)
        else:
            with zipfile.ZipFile(file) as opened:
                yield from _member(opened, _info(opened, member), size, file)


def packed(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file as it lies, or of a member of an archive as it was put there.

    Raises:
        UnreadableFileError: The archive is damaged, or the member a bomb.
        OSError: The file cannot be opened or read.
    """
    archive, member = _place(path)
    with _CountedFile(io.FileIO(archive)) as file, _said_clearly(path):
        if member is None:
            yield from _pieces(file, 1 << 20)
        else:
            with zipfile.ZipFile(file) as opened, opened.open(_readable(_info(opened, member))) as stream:
                yield from _measured(DEFLATE_EXPANSION, file, _pieces(stream, _PACKED_READ_BYTES))


def members(path: Path) -> list[Path]:
    """Paths of the files in a zip archive; none for a file of any other kind. Hidden ones are left out.

    Raises:
        UnreadableFileError: The archive is damaged, or has more than `MAX_MEMBERS`.
        OSError: The file cannot be opened or read.
    """
    with path.open("rb") as file, _said_clearly(path):
        if file.read(4) not in _ZIP_MAGIC:
            return []
        # The directory is what ZipFile reads as a whole, however long it says to be.
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is not None and end[zipfile._ECD_SIZE] > _MAX_DIRECTORY_BYTES:  # type: ignore[attr-defined]
            raise UnreadableFileError(f"{path}: {_too_many('very many')}")
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            found = _infos(archive)
    if len(found) > MAX_MEMBERS:
        raise UnreadableFileError(f"{path}: {_too_many(f'{len(found):,}')}")
    return [path / name for name in sorted(found)]


def beside(path: Path) -> list[Path]:
    """Paths of the files in a file's folder, or of the members in a member's."""
    archive, member = _place(path)
    if member is None:
        return sorted(path.parent.iterdir())
    return [other for other in members(archive) if other.parent == path.parent]


def size_of(path: Path) -> int:
    """Bytes that a file takes on disk, or a member in its archive."""
    archive, member = _place(path)
    if member is None:
        return path.stat().st_size
    with zipfile.ZipFile(archive) as opened:
        return _info(opened, member).compress_size


def _place(path: Path) -> tuple[Path, str | None]:
    """Tell the file on disk, and which member of it is meant."""
    if path.exists():
        return path, None
    archive = next((parent for parent in path.parents if parent.is_file()), None)
    return (path, None) if archive is None else (archive, str(path.relative_to(archive)))


def _infos(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members that are files, by name; hidden ones and those of macOS are left out, and so are names that leave."""
    found = {}
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        if not info.is_dir() and not any(part.startswith(("/", ".", "__MACOSX")) for part in parts):
            found[str(PurePosixPath(*parts))] = info
    return found


def _info(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    found = _infos(archive).get(member)
    if found is None:
        raise UnreadableFileError("the archive has no such member")
    return found


class _CountedFile(io.BufferedReader):
    """A file that counts the bytes taken from it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        data = super().read(size)
        self.taken += len(data)
        return data


def _measured(limit: int, file: _CountedFile, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pass pieces on as long as they are in proportion to what was taken from the file."""
    given, taken, total, due = 0, 0, 0, STRETCH_BYTES
    for piece in pieces:
        given += len(piece)
        total += len(piece)
        if given >= due:
            if given > limit * (file.taken - taken):
                raise UnreadableFileError(
                    f"the packed data expands more than {limit} times, as no market data do; "
                    f"stopped after {total >> 20:,} MiB"
                )
            due += STRETCH_BYTES
        if given >= _STRETCHES * STRETCH_BYTES:
            # What was read ahead is not counted again: measured over several stretches, that is little.
            given, taken, due = 0, file.taken, 4 * STRETCH_BYTES
        yield piece


def _layer(stream: BinaryIO, size: int, file: _CountedFile, *, member: bool = False) -> Iterator[bytes]:
    """Yield what a stream holds, unpacked if it is packed; a member of an archive may be packed once more."""
    magic = _start(stream)
    _refuse_other(magic)
    if magic.startswith(_GZIP_MAGIC):
        with gzip.GzipFile(fileobj=stream) as inside:
            pieces = _measured(DEFLATE_EXPANSION, file, _pieces(inside, min(size, 1 << 20)))
            yield from _not_packed_again(pieces)
    elif magic.startswith(_ZSTD_MAGIC) or magic[1:4] == _ZSTD_SKIPPABLE:
        yield from _not_packed_again(_measured(ZSTD_EXPANSION, file, _zstd_frames(stream)))
    elif magic.startswith(_ZIP_MAGIC):
        if member:
            raise _packed_again()
        yield from _all_members(stream, size, file)
    elif member:
        yield from _measured(DEFLATE_EXPANSION, file, _pieces(stream, size))
    else:
        yield from _pieces(stream, size)


def _start(stream: BinaryIO) -> bytes:
    start = stream.read(512)
    stream.seek(0)
    return start


def _not_packed_again(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    _refuse_other(first)
    if first.startswith((_GZIP_MAGIC, _ZSTD_MAGIC, *_ZIP_MAGIC)):
        raise _packed_again()
    if first:
        yield first
    yield from pieces


def _packed_again() -> UnknownPackingError:
    return UnknownPackingError("packed more than once, which is not read: unpack it first")


def _refuse_other(start: bytes) -> None:
    found = next((name for magic, name in _OTHER_PACKINGS.items() if start.startswith(magic)), None)
    if start[_TAR_AT:].startswith(_TAR_MAGIC):
        found = "tar"
    if found is not None:
        raise UnknownPackingError(f"packed by {found}, which is not read: unpack it first (gzip, zip and zstd are)")


def _pieces(stream: BinaryIO | IO[bytes] | gzip.GzipFile, size: int) -> Iterator[bytes]:
    while piece := stream.read(size):
        yield piece


def _all_members(stream: BinaryIO, size: int, file: _CountedFile) -> Iterator[bytes]:
    with zipfile.ZipFile(stream) as archive:
        for _, info in sorted(_infos(archive).items()):
            last = b"\n"
            for last in _member(archive, info, size, file):
                yield last
            if not last.endswith(b"\n"):
                yield b"\n"


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int, file: _CountedFile) -> Iterator[bytes]:
    with archive.open(_readable(info)) as stream:
        # Small reads: the archive takes as many packed bytes at once as it is asked for unpacked ones.
        yield from _layer(cast(BinaryIO, stream), min(size, _PACKED_READ_BYTES), file, member=True)


def _readable(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    if info.flag_bits & 1:
        raise UnknownPackingError(f"member {info.filename!r} is encrypted: unpack it first")
    if info.compress_type not in _METHODS:
        raise UnknownPackingError(f"member {info.filename!r} is packed by method {info.compress_type}: unpack it first")
    return info


def _zstd_frames(stream: BinaryIO) -> Iterator[bytes]:
    # The library's own stream reader takes a cut frame for the end of the file, hence frame by frame.
    unpacker = zstandard.ZstdDecompressor()
    frame = unpacker.decompressobj()
    unfinished = False
    while data := stream.read(_ZSTD_READ_BYTES):
        while data:
            piece = frame.decompress(data)
            unfinished = not frame.eof
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = unpacker.decompressobj()
            if piece:
                yield piece
    if unfinished:
        raise EOFError


def _too_many(count: str) -> str:
    return f"the archive has {count} members, at most {MAX_MEMBERS:,} are read: unpack it first"


@contextmanager
def _said_clearly(path: Path) -> Iterator[None]:
    """Name the file in what is said of its packing."""
    try:
        yield
    except UnreadableFileError as error:
        said = str(error)
        if said.startswith(str(path)):
            raise
        raise type(error)(f"{path}: {said}") from error
    except EOFError as error:
        raise UnreadableFileError(f"{path}: the compressed data is cut short") from error
    except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, zstandard.ZstdError, NotImplementedError) as error:
        raise UnreadableFileError(f"{path}: the compressed data is corrupt: {error}") from error
