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


class Body:
    """A request's body, by its length or in chunks."""

    def __init__(self, stream: Any, headers: Any) -> None:
        self._stream = stream
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._ahead = b""

    def read(self, size: int = LONGEST_STATEMENT) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._ahead:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        if self._chunked and not self._left:
            self._left = int(self._stream.readline(64).split(b";")[0] or b"0", 16)
            if not self._left:
                self._stream.readline(64)
                self._chunked = False
        found = self._stream.read(min(size, self._left)) if self._left else b""
        self._left -= len(found)
        if self._chunked and not self._left:
            self._stream.readline(64)
        return bytes(found)

    def all(self) -> bytes:
        """All that is left, of a statement.

        Raises:
            StoreError: it is longer than a statement may be.
        """
        pieces, size = [], 0
        while piece := self.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_STATEMENT:
                raise StoreError(f"Code: 62. DB::Exception: a statement has at most {LONGEST_STATEMENT} bytes")
        return b"".join(pieces)

    def behind(self, rest: bytes) -> Body:
        """This body with bytes that were read put back."""
        self._ahead = rest
        return self

    def drain(self) -> None:
        """Read what is left, for the connection to go on."""
        while self.read(PIECE):
            pass


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
