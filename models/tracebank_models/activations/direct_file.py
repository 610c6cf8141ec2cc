"""A file that is written once, from its start to its end, past the operating system's page cache where that can be.

Fresh pages for a cache that nobody reads soon can cost ten times what the rest of a shard does, and push out what is
needed. Reading brings the file into the cache when it is wanted. What the bytes mean is not said here.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
"""Bytes that are put together in one place and go out at once."""
_ALIGNMENT = 4_096
"""What place, length and offset of a direct write are multiples of; disks ask for this or less."""
_DIRECT = getattr(os, "O_DIRECT", 0)


class DirectFile(io.RawIOBase):
    """A new file to write; it is on the disk when `close` has returned."""

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            OSError: It is there already, or cannot be made.
        """
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._block = memoryview(mmap.mmap(-1, _BLOCK))  # begins with a page, as a direct write has to
        self._filled = self._written = 0
        self._is_direct = self._switch(direct=True)

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self._written + self._filled

    def write(self, data: Any) -> int:
        """Take all of the data, and write as many whole blocks as there are."""
        view = memoryview(data).cast("B")
        for first in range(0, len(view), _BLOCK):
            self._take(view[first : first + _BLOCK])
        return len(view)

    def _take(self, data: memoryview) -> None:
        room = _BLOCK - self._filled
        head, rest = data[:room], data[room:]
        self._block[self._filled : self._filled + len(head)] = head
        self._filled += len(head)
        if self._filled == _BLOCK:
            self._put(_BLOCK)
            self._block[: len(rest)] = rest
            self._filled = len(rest)

    def _put(self, count: int) -> None:
        """Write the first bytes of the block."""
        done = 0
        while done < count:
            try:
                done += os.write(self._file, self._block[done:count])
            except OSError as error:
                # Not every file system that takes the flag takes the write, and not after a part of a block.
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                self._is_direct = self._switch(direct=False)
        self._written += count
        self._filled -= count

    def _switch(self, *, direct: bool) -> bool:
        """Have the next writes go past the cache, or through it; whether they go past it now."""
        if not _DIRECT:
            return False
        import fcntl  # there is none where there is no O_DIRECT

        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | _DIRECT if direct else flags & ~_DIRECT)
        except OSError:
            return False
        return direct

    def close(self) -> None:
        """Write what is left, and wait until all is on the disk.

        Raises:
            OSError: It cannot be written.
        """
        if self.closed:
            return
        try:
            whole, left = self._filled - self._filled % _ALIGNMENT, self._filled % _ALIGNMENT
            self._put(whole)
            if left:
                self._is_direct = self._switch(direct=False)
                self._block[:left] = bytes(self._block[whole : whole + left])
                self._put(left)
            os.fsync(self._file)
        finally:
            os.close(self._file)
            super().close()
