"""A symbol's recording read while it is written: the lines that were flushed since the last look, file after file.

Whoever writes it need not know. What is left by a recorder that was killed is read as far as it was flushed.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import zstandard

from tracebank_models.market.recording_files import UNFINISHED


class FollowedFiles:
    """The files of one symbol, from the newest on or from the first."""

    def __init__(self, folder: Path, symbol: str, *, from_start: bool = False) -> None:
        """Begin before the first look.

        Args:
            folder: Of the symbol; it may be made later.
            symbol: As the files are named.
            from_start: Read what is there already, not only the newest file.
        """
        self._folder, self._symbol = folder, symbol
        self._file: BinaryIO | None = None
        self._name = ""
        self._rest = b""
        if not from_start and (names := self._names()):
            self._open(names[-1])

    def new_lines(self) -> list[bytes]:
        """Return the whole lines that came since the last look, without line ends.

        Raises:
            OSError: A file cannot be read.
        """
        lines = self._read()
        # Listed before the file is read for the last time: what begins a later one has ended this one.
        while later := [name for name in self._names() if name > self._name]:
            lines += self._read()
            self._open(later[0])
            lines += self._read()
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _names(self) -> list[str]:
        """Names of the files, finished or not, by time."""
        paths = [*self._folder.glob(f"{self._symbol}_*.zst"), *self._folder.glob(f".{self._symbol}_*{UNFINISHED}")]
        return sorted({path.name.removeprefix(".").removesuffix(UNFINISHED) for path in paths})

    def _open(self, name: str) -> None:
        self.close()
        self._name, self._rest, self._file = name, b"", None
        self._unpacker = zstandard.ZstdDecompressor().decompressobj()
        for path in (self._folder / f".{name}{UNFINISHED}", self._folder / name):  # it may be finished meanwhile
            try:
                self._file = path.open("rb")
            except FileNotFoundError:
                continue
            return

    def _read(self) -> list[bytes]:
        if self._file is None or self._unpacker.eof or not (packed := self._file.read()):
            return []
        *lines, self._rest = (self._rest + self._unpacker.decompress(packed)).split(b"\n")
        return lines
