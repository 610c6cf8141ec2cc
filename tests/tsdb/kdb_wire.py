"""A protocol double of a q server: speaks kdb+'s public IPC format and evaluates nothing.

It answers with what the test gave it, and keeps what was sent. No figure is ever taken from it.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_ASKING = threading.Lock()
KDB_EPOCH = 946_684_800_000_000_000
"""2000-01-01 in nanoseconds since 1970."""
_VECTORS = {
    1: ("B", 1),
    4: ("B", 1),
    5: ("h", 2),
    6: ("i", 4),
    7: ("q", 8),
    8: ("f", 4),
    9: ("d", 8),
    12: ("q", 8),
    14: ("i", 4),
}


@dataclass(frozen=True)
class Timestamps:
    """Nanoseconds since 2000."""

    values: list[int]


@dataclass(frozen=True)
class Vector:
    """Values of one of q's types, by its number: 1 booleans, 5 shorts, 6 ints, 8 reals, 14 dates since 2000."""

    kind: int
    values: list[Any]


@dataclass(frozen=True)
class Mixed:
    """A general list, such as one of strings."""

    values: list[Any]


@dataclass(frozen=True)
class QError:
    """What q signals."""

    text: str


def encoded(value: Any) -> bytes:
    """A value as q sends it: dicts of columns are tables."""
    if isinstance(value, QError):
        return struct.pack("<b", -128) + value.text.encode() + b"\0"
    if value is None:
        return struct.pack("<bb", 101, 0)
    if isinstance(value, str):
        return struct.pack("<bbi", 10, 0, len(value.encode())) + value.encode()
    if isinstance(value, int):
        return struct.pack("<bq", -7, value)
    if isinstance(value, Timestamps):
        return struct.pack(f"<bbi{len(value.values)}q", 12, 0, len(value.values), *value.values)
    if isinstance(value, Vector):
        form = _VECTORS[value.kind][0]
        return struct.pack(f"<bbi{len(value.values)}{form}", value.kind, 0, len(value.values), *value.values)
    if isinstance(value, Mixed):
        return struct.pack("<bbi", 0, 0, len(value.values)) + b"".join(map(encoded, value.values))
    if isinstance(value, dict):
        columns = b"".join(map(encoded, value.values()))
        return (
            struct.pack("<bb", 98, 0)
            + b"\x63"
            + _symbols(list(value))
            + struct.pack("<bbi", 0, 0, len(value))
            + columns
        )
    if value and isinstance(value[0], str):
        return _symbols(value)
    kind = 9 if value and isinstance(value[0], float) else 7
    return struct.pack(f"<bbi{len(value)}{_VECTORS[kind][0]}", kind, 0, len(value), *value)


def _symbols(names: list[str]) -> bytes:
    return struct.pack("<bbi", 11, 0, len(names)) + b"".join(name.encode() + b"\0" for name in names)


class Reader:
    """Values out of a message's body."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def _take(self, form: str) -> Any:
        [value] = struct.unpack_from("<" + form, self.body, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def _text(self) -> str:
        end = self.body.index(b"\0", self.at)
        text, self.at = self.body[self.at : end].decode(), end + 1
        return text

    def value(self) -> Any:
        kind = self._take("b")
        if kind in (-12, -7):
            return self._take("q")
        if kind in (-14, -6):
            return self._take("i")
        if kind == -1:
            return bool(self._take("B"))
        if kind == -10:
            return chr(self._take("B"))
        if kind == -11:
            return self._text()
        if kind in (101,):
            self.at += 1
            return None
        if kind == 99:
            return dict(zip(self.value(), self.value(), strict=True))
        self._take("b")
        if kind == 98:
            return self.value()
        count = self._take("i")
        if kind == 0:
            return [self.value() for _ in range(count)]
        if kind == 11:
            return [self._text() for _ in range(count)]
        if kind == 10:
            text, self.at = self.body[self.at : self.at + count].decode(), self.at + count
            return text
        form, size = _VECTORS[kind]
        values = list(struct.unpack_from(f"<{count}{form}", self.body, self.at))
        self.at += count * size
        return Timestamps(values) if kind == 12 else values


@dataclass
class Double:
    """The server's side, as the test sees it."""

    port: int
    asked: list[Any] = field(default_factory=list)
    """What was asked: texts, or lists of a text and its arguments; complete once the block has ended."""


@contextmanager
def kdb_double(answer: Any, *, password: str = "") -> Iterator[Double]:
    """Serve on loopback for the block, in a process of its own: PyKX holds Python's lock as it connects.

    Args:
        answer: what every question is answered with.
        password: what a client has to send, where one is wanted.
    """
    command = [sys.executable, __file__, encoded(answer).hex(), password]
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=kept, text=True)
        assert process.stdout is not None
        double = Double(int(process.stdout.readline()))
        try:
            yield double
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
            kept.seek(0)
            double.asked += [Reader(bytes.fromhex(line.decode())).value() for line in kept]


def _serve(client: socket.socket, answer: bytes, password: str) -> None:
    """One connection: every message's body goes to the standard error stream, in hexadecimal digits."""
    with client:
        login = b""
        while not login.endswith(b"\0"):
            login += client.recv(1)
        secret = login[:-2].partition(b":")[2].decode()
        if password and secret != password:
            return
        client.sendall(b"\x03")
        while header := _exactly(client, 8):
            kind, size = header[1], struct.unpack("<i", header[4:])[0]
            with _ASKING:
                sys.stderr.write(_exactly(client, size - 8).hex() + "\n")
                sys.stderr.flush()
            if kind == 1:
                client.sendall(struct.pack("<bbbbi", 1, 2, 0, 0, len(answer) + 8) + answer)


def _exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = client.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return found


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        arguments = (listener.accept()[0], bytes.fromhex(sys.argv[1]), sys.argv[2])
        threading.Thread(target=_serve, args=arguments, daemon=True).start()
