"""Bodies of HTTP requests and answers at the owner's sockets: a statement, the rows behind an INSERT, chunks."""

from __future__ import annotations

import re
from typing import Any, Final

from tracebank.stores.faults import StoreError

LONGEST_STATEMENT: Final = 64 << 20
"""Bytes of a statement, rows behind it not counted."""
PIECE: Final = 1 << 20
_HEAD: Final = 1 << 16
"""Bytes of a body in which an INSERT has to end, for rows to follow."""
INSERTS: Final = re.compile(r"\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\s*;?\s*", re.IGNORECASE | re.DOTALL)
"""A statement that takes rows from behind it: into what, and their format."""

_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")


class Body:
    """A request's body, by its length or in chunks."""

    def __init__(self, stream: Any, headers: Any) -> None:
        self._stream = stream
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = headers.get("Content-Length") or "0"
        if not length.isdecimal():
            raise ValueError(f"Content-Length: {length[:40]!r} is not accepted; use a number of bytes")
        self._left = 0 if self._chunked else int(length)
        self._ahead = b""

    @property
    def is_read(self) -> bool:
        """Whether nothing of it is left."""
        return not (self._left or self._chunked or self._ahead)

    def read(self, size: int = LONGEST_STATEMENT) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._ahead:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        if self._chunked and not self._left:
            size_line = self._stream.readline(64).split(b";")[0].strip()
            if not _CHUNK.fullmatch(size_line):
                raise ConnectionResetError("the body is cut off")
            self._left = int(size_line, 16)
            if not self._left:
                self._stream.readline(64)
                self._chunked = False
        wanted = min(size, self._left)
        found = self._stream.read(wanted) if wanted else b""
        if len(found) < wanted:
            raise ConnectionResetError("the body is cut off")
        self._left -= len(found)
        if self._chunked and not self._left:
            self._stream.readline(64)
        return bytes(found)

    def all(self, longest: int = LONGEST_STATEMENT) -> bytes:
        """All that is left, of a statement.

        Raises:
            StoreError: it is longer than a statement may be.
        """
        pieces, size = [], 0
        while piece := self.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > longest:
                raise StoreError(f"Code: 62. DB::Exception: a statement has at most {longest} bytes")
        return b"".join(pieces)

    def behind(self, rest: bytes) -> Body:
        """This body with bytes that were read put back."""
        self._ahead = rest
        return self


def apart(in_url: str, body: Body) -> tuple[str, Body | None]:
    """The statement, and the rows that follow it where it is an INSERT."""
    if in_url.strip():
        if INSERTS.fullmatch(in_url):
            return in_url, body
        rest = body.all().decode()
        return (f"{in_url}\n{rest}" if rest else in_url), None
    head = body.read(_HEAD)
    while len(head) < _HEAD and b"\n" not in head and (more := body.read(_HEAD)):
        head += more
    line, separator, behind = head.partition(b"\n")
    if separator and head[:32].lstrip()[:6].upper() == b"INSERT" and INSERTS.fullmatch(line.decode(errors="replace")):
        return line.decode(), body.behind(behind)
    return (head + body.all()).decode(), None


class Chunks:
    """A body in chunks."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        """One chunk."""
        size = memoryview(data).nbytes
        if size:
            self._stream.write(f"{size:x}\r\n".encode())
            self._stream.write(data)
            self._stream.write(b"\r\n")
        return size

    def flush(self) -> None:
        """Nothing is held back here."""
