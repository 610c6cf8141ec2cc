"""Files that a recorder writes: `<receive time in ns> <message>` lines, packed, one file after the other for a symbol.

A file that is still written has a hidden name, which no reader of folders looks at. What was flushed of it survives its
writer: the next one finishes it. Where messages come from is not known here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from tracebank_models.market.unpacking import UnreadableFileError, unpacked

LARGEST_FILE: Final = 256 << 20
"""Packed bytes after which the next file is begun."""
_HOUR_NS: Final = 3_600 * 10**9
_HELD: Final = 1 << 20
_PACKING: Final = zstandard.ZstdCompressionParameters.from_level(1, window_log=17)
"""Of books, level 1 with a short memory packs 6 % tighter than level 3 with a long one, in a third of the room."""
UNFINISHED: Final = ".part"


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A file that nobody writes to any more."""

    path: Path
    symbol: str
    lines: int
    bytes: int


def symbol_folder(folder: Path, venue: str, symbol: str) -> Path:
    """Where the files of an instrument lie: its names stand in the path, for lines that do not tell them."""
    return folder / f"venue={venue}" / f"symbol={symbol}"


def file_name(symbol: str, first_ns: int) -> str:
    """Name of a file by the receive time of its first line, so that names sort by time."""
    at = datetime.fromtimestamp(first_ns // 10**9, UTC)
    return f"{symbol}_{at:%Y%m%dT%H%M%S}{first_ns % 10**9:09d}.zst"


class SymbolFiles:
    """The files of one symbol: a new one each hour (UTC), and whenever one is large enough.

    What `add` takes is on disk after `flush`, which is to be called each second; the rest waits in memory.
    """

    def __init__(self, folder: Path, symbol: str, *, largest: int = LARGEST_FILE) -> None:
        self.folder, self.symbol, self.largest = folder, symbol, largest
        self.finished: list[FinishedFile] = []
        self._file: _OpenFile | None = None
        self._until = 0

    def add(self, received_ns: int, message: bytes) -> bool:
        """Take a message; tell whether it is the first of a new file.

        It is written as it came, but for line ends: JSON has them between its words alone, and they become spaces.

        Raises:
            OSError: The disk is full, or gone; what was flushed stays.
        """
        new = self._file is None or received_ns >= self._until or self._file.bytes >= self.largest
        if new:
            self.finish()
            self._file = _OpenFile(self.folder / file_name(self.symbol, received_ns))
            self._until = (received_ns // _HOUR_NS + 1) * _HOUR_NS
        self._doing(lambda file: file.add(b"%d %s\n" % (received_ns, message.replace(b"\n", b" "))))
        return new

    def flush(self) -> None:
        """Put what was taken so far where it survives this process.

        Raises:
            OSError: The disk is full, or gone; what was flushed before stays.
        """
        self._doing(_OpenFile.flush)

    def finish(self) -> None:
        """End the file that is written, and give it its name.

        Raises:
            OSError: The disk is full, or gone; what was flushed stays.
        """
        self._doing(lambda file: self.finished.append(file.finish(self.symbol)))
        self._file = None

    def _doing(self, work: Callable[[_OpenFile], object]) -> None:
        """Do something with the file that is written; one that fails is written to no more."""
        file, self._file = self._file, None
        if file is not None:
            work(file)
        self._file = file


class _OpenFile:
    """One file that is written under a hidden name, and locked for as long as its writer lives."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._part = path, path.with_name(f".{path.name}{UNFINISHED}")
        self._file = self._part.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._packer = zstandard.ZstdCompressor(compression_params=_PACKING).compressobj()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.lines = self.bytes = 0

    def add(self, line: bytes) -> None:
        self._held.append(line)
        self._held_bytes += len(line)
        self.lines += 1
        if self._held_bytes >= _HELD:
            self._write(self._packed())

    def flush(self) -> None:
        if self._held_bytes:
            self._write(self._packed() + self._packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))

    def finish(self, symbol: str) -> FinishedFile:
        with self._file:
            self._write(self._packed() + self._packer.flush())
            os.fsync(self._file.fileno())
            self._part.rename(self._path)
        return FinishedFile(self._path, symbol, self.lines, self.bytes)

    def _packed(self) -> bytes:
        packed = self._packer.compress(b"".join(self._held))
        self._held, self._held_bytes = [], 0
        return packed

    def _write(self, packed: bytes) -> None:
        left = memoryview(packed)
        while left:
            left = left[self._file.write(left) :]
        self.bytes += len(packed)


def recover(folder: Path, symbol: str) -> list[FinishedFile]:
    """Finish the files of a symbol that a recorder left when it was killed; those of one that lives are left alone.

    What came after the last flush is lost, with a last line that is not whole. Again does no harm.

    Returns:
        The files; one of which no line was written is removed.

    Raises:
        OSError: A file cannot be read, or written anew.
    """
    found = []
    for part in sorted(folder.glob(f".{symbol}_*{UNFINISHED}")):
        with part.open("rb") as file:
            if _is_left(file):
                whole = _written_anew(part, symbol)
                found += [whole] if whole.lines else []
                part.unlink()
    return found


def _written_anew(part: Path, symbol: str) -> FinishedFile:
    """Write the whole lines of a file again, under its name; without any there is no such file."""
    path = part.with_name(part.name.removeprefix(".").removesuffix(UNFINISHED))
    again, lines = part.with_name(f"{part.name}.again"), 0
    with zstandard.ZstdCompressor(compression_params=_PACKING).stream_writer(again.open("wb")) as sink:
        for text in _whole_lines(part):
            lines += text.count(b"\n")
            sink.write(text)
    again.replace(path) if lines else again.unlink()
    return FinishedFile(path, symbol, lines, path.stat().st_size if lines else 0)


def _whole_lines(part: Path) -> Iterator[bytes]:
    """Yield what can be unpacked of a file that was cut anywhere, up to its last line end."""
    rest = b""
    with suppress(UnreadableFileError):
        for piece in unpacked(part, _HELD):
            text, end, rest = (rest + piece).rpartition(b"\n")
            yield text + end


def _is_left(file: BinaryIO) -> bool:
    """Tell whether a file's writer is gone, and hold it against others that would finish it too."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
