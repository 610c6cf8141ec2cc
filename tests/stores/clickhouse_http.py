"""A double of a ClickHouse server: enough of its HTTP interface, over chDB, for the client to work against.

It tries what the adapter does with a server (connecting, settings, inserts and answers over HTTP, faults), not how a
server behaves. Usage: clickhouse_http.py FOLDER; prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import chdb
from clickhouse_connect.driver._backend.chdb_backend import CHDB_TRANSPORT_SETTINGS

_NOT_SETTINGS = CHDB_TRANSPORT_SETTINGS | {"query", "default_format"}
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Server(ThreadingHTTPServer):
    """One chDB connection, one statement at a time."""

    daemon_threads = True

    def __init__(self, folder: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connection = chdb.connect(folder)
        self.one = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """`POST /?query=…&param_x=…&setting=…`, the statement in the URL or the body."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        asked = {
            name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()
        }
        if not self.headers.get("Authorization"):
            self._answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        try:
            with self.server.one:
                text = self._run(asked, body)
        except RuntimeError as error:
            self._answer(500, str(error).encode())
            return
        self._answer(200, text)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _run(self, asked: dict[str, str], body: bytes) -> bytes:
        connection = self.server.connection
        parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        connection.query(f"USE {asked.get('database') or 'default'}")
        for name, value in asked.items():
            if name not in _NOT_SETTINGS and not name.startswith("param_"):
                connection.query(f"SET {name} = '{value}'")
        statement = asked.get("query", "").encode()
        if not statement:
            statement, body = body, b""
        if statement.lstrip()[:6].upper() == b"INSERT" and body:
            return self._insert(statement, body)
        found = _FORMAT.search(statement)
        kind = found[1].decode() if found else "TabSeparated"
        return bytes(connection.query(statement.decode(), kind, params=parameters).bytes() or b"")

    def _insert(self, statement: bytes, body: bytes) -> bytes:
        head, _, kind = statement.decode().rpartition("FORMAT")
        with tempfile.NamedTemporaryFile(suffix=".raw") as file:
            file.write(body)
            file.flush()
            self.server.connection.query(f"{head} FROM INFILE '{file.name}' FORMAT {kind}")
        return b""

    def _answer(self, status: int, text: bytes) -> None:
        self.send_response(status)
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    server = Server(sys.argv[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
