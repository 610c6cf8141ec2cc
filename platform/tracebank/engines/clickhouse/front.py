"""ClickHouse's HTTP protocol over the engine in this process, as far as its clients use it: statements in the URL or
the body, `param_…`, settings, `FORMAT`, rows in a body behind an INSERT, exceptions by code.

There are two fronts. On `engine` everything runs that is the store's own work; `POST /sql` admits and answers queries
of `tracebank` there, in frames. On `reader` only what the guard admits runs, under settings that cannot be taken back.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import uuid
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
from chdb import ChdbError

from tracebank.engines.clickhouse.body import INSERTS, Body, Chunks, apart
from tracebank.engines.clickhouse.guard import admit
from tracebank.engines.clickhouse.local import LocalReader, reading
from tracebank.engines.clickhouse.query import answered
from tracebank.engines.clickhouse.run import functions
from tracebank.engines.clickhouse.wire import Frames
from tracebank.query.contract import Limits, Request
from tracebank.query.errors import SqlError, SqlRefused
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.owner import Owner

_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_READS: Final = re.compile(r"\s*\(*\s*(SELECT|WITH)\b", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)")
_JOINED: Final = frozenset({"native", "tabseparated", "csv", "rowbinary", "jsoneachrow", "jsoncompacteachrow"})
"""Formats whose pieces make the whole when they are put behind one another."""
_TRANSPORT: Final = frozenset(
    """
    query database default_format session_id session_timeout session_check query_id compress decompress user password
    quota_key enable_http_compression http_zlib_compression_level wait_end_of_query buffer_size stacktrace role
    client_protocol_version send_progress_in_http_headers cancel_http_readonly_queries_on_client_close
    """.split()  # noqa: SIM905 - a list of a name a line says no more
)
"""Of a URL, what is no setting of the engine."""
_OF_A_READER: Final = frozenset(
    """
    output_format_arrow_string_as_string output_format_arrow_low_cardinality_as_dictionary
    output_format_arrow_compression_method output_format_native_encode_types_in_binary_format
    output_format_json_quote_64bit_integers output_format_json_quote_denormals date_time_output_format
    session_timezone join_use_nulls max_result_rows result_overflow_mode limit offset max_block_size extremes
    date_time_input_format
    """.split()  # noqa: SIM905
)
"""Settings that a reader may bring; others are passed over."""


_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_HUNG_UP: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""What tells that nobody is at the other end any more; a system without the last one tells it late."""


class Front(ThreadingMixIn, UnixStreamServer):
    """One of the owner's sockets."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, owner: Owner, *, fenced: bool) -> None:
        super().__init__(address, Handler)
        self.owner = owner
        self.fenced = fenced

    def handle_error(self, *_: Any) -> None:
        """A client that left is no event."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Front

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """`/ping`, or a statement in the URL."""
        if urlsplit(self.path).path in ("/ping", "/replicas_status") or "query=" not in self.path:
            self._whole(200, b"Ok.\n")
            return
        self.do_POST()

    def do_POST(self) -> None:
        """A statement, or one of the owner's own services."""
        place = urlsplit(self.path).path
        body = Body(self.rfile, self.headers)
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in _HERE:
            # A page that a browser was made to take for one of this machine.
            self._whole(403, b"only 127.0.0.1, ::1 and localhost are served\n")
            return
        if not self.server.owner.is_in_place():
            self.close_connection = True  # unanswered: the next owner is asked, where the store is now
            return
        with self.server.owner.at_work():
            if place == "/sql" and not self.server.fenced:
                self._frames(json.loads(body.read()))
            elif place == "/stop" and not self.server.fenced:
                self._whole(200, b"")
                self.server.owner.leave()
            else:
                self._statement(body)

    def _statement(self, body: Body) -> None:
        url = {n: v[-1] for n, v in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        try:
            if self.headers.get("Content-Encoding"):
                raise StoreError("Code: 48. DB::Exception: compressed requests are not taken; send compress=False")
            text, rows = apart(url.get("query", ""), body)
            if rows is not None and not self.server.fenced:
                self._insert(text, rows, url)
            elif self.server.fenced:
                self._read(text, url)
            else:
                self._run(text, url)
        except (ChdbError, RuntimeError, SqlError, StoreError, pa.ArrowInvalid, ValueError) as error:
            body.drain()
            self._fault(error)

    def _settings(self, url: dict[str, str]) -> dict[str, str]:
        given = {n: v for n, v in url.items() if n not in _TRANSPORT and not n.startswith("param_")}
        return {n: v for n, v in given.items() if n in _OF_A_READER} if self.server.fenced else given

    def _run(self, text: str, url: dict[str, str]) -> None:
        engine = self.server.owner.engine
        form = self._form(text, url)
        with (
            engine.cancellable(self._gone) as name,
            engine.handle({**self._settings(url), "log_comment": name}, url.get("database", "")) as handle,
        ):
            self._answer(handle, text, form, _parameters(url))

    def _read(self, text: str, url: dict[str, str]) -> None:
        owner = self.server.owner
        form, bare = self._form(text, url), _FORMAT.sub("", text)
        database = url.get("database", "")
        if database in ("", "default", "__default__"):
            database = owner.database
        limits = owner.limits
        owner.attach(bare)
        with LocalReader.opened(owner.engine, database, limits, None, self._gone) as reader:
            statement = admit(bare, reader, functions(reader))
        with (
            owner.engine.cancellable(self._gone) as name,
            reading(owner.engine, database, limits, name, self._settings(url)) as handle,
        ):
            self._answer(handle, statement.text, form, _parameters(url))

    def _form(self, text: str, url: dict[str, str]) -> str:
        if found := _FORMAT.search(text):
            return found[1]
        return url.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"

    def _insert(self, text: str, rows: Body, url: dict[str, str]) -> None:
        owner = self.server.owner
        found = INSERTS.fullmatch(text)
        if found is None:
            raise StoreError(f"Code: 62. DB::Exception: INSERT … FORMAT is expected, not {text[:80]!r}")
        with owner.spooled(rows) as path, owner.engine.handle(self._settings(url), url.get("database", "")) as handle:
            handle.query(owner.inserting(found[1], found[2], path))
        self._whole(200, b"")

    def _answer(self, handle: Any, text: str, form: str, parameters: dict[str, str]) -> None:
        if _READS.match(text):
            self.server.owner.check_whole(text)
        if _READS.match(text) and (form.lower() in _JOINED or form.lower() == "arrowstream"):
            # Closed before its handle is: a stream that is cancelled without one ends the whole engine.
            with contextlib.closing(_pieces(handle.send_query(text, form, params=parameters))) as pieces:
                first = next(pieces, None)
                if first is not None:
                    self._stream(form, first, pieces)
                    return
        self._whole(200, bytes(handle.query(text, form, params=parameters).bytes() or b""), form)

    def _stream(self, form: str, first: bytes, rest: Iterator[bytes]) -> None:
        self._head(200, form)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sink = Chunks(self.wfile)
        try:
            if form.lower() == "arrowstream":
                _joined(sink, first, rest)
            else:
                sink.write(first)
                for piece in rest:
                    sink.write(piece)
        except (ChdbError, RuntimeError) as error:
            # As the server does it: the answer breaks off behind the exception's text.
            sink.write(f"\n{error}\n".encode())
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def _frames(self, asked: dict[str, Any]) -> None:
        """Answer a query of `tracebank`'s own: promised types, progress, faults by their kind."""
        owner = self.server.owner
        frames = Frames(self.wfile)
        self.close_connection = True
        self._head(200, "tracebank")
        self.end_headers()
        self.wfile.flush()
        request = Request(
            asked["text"], Limits(asked["seconds"], asked["memory"]), asked["parameters"], asked["rows"], None
        )
        progress = frames.progress if asked["progress"] else None
        with frames.faults():
            owner.check_whole(request.text)
            dialect, absence = owner.attach(request.text, asked["relational"], asked["activations"])
            with (
                LocalReader.opened(
                    owner.engine, owner.database, request.limits, request.rows, self._gone, progress
                ) as reader,
                answered(reader, request, asked["values"], dialect, absence) as answer,
            ):
                frames.schema(answer.schema)
                for batch in answer.batches:
                    frames.batch(batch)
            frames.end()

    def _gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        events = select.poll()
        try:
            events.register(self.connection, _HUNG_UP)
            return bool(events.poll(0))
        except (OSError, ValueError):
            return True

    def _fault(self, error: Exception) -> None:
        text = str(error)
        found = _CODE.search(text)
        code = found[1] if found else "497" if isinstance(error, SqlRefused) else "1"
        if found is None:
            text = f"Code: {code}. DB::Exception: {text}"
        body = text.encode()
        self._head(404 if code in ("60", "81") else 403 if code == "497" else 500, "TabSeparated")
        self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, status: int, form: str) -> None:
        self.send_response(status)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Query-Id", uuid.uuid4().hex)
        self.send_header("X-ClickHouse-Summary", "{}")
        self.send_header("X-ClickHouse-Format", form)

    def _whole(self, status: int, body: bytes, form: str = "TabSeparated") -> None:
        self._head(status, form)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parameters(url: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("param_"): value for name, value in url.items() if name.startswith("param_")}


def _pieces(answer: Any) -> Generator[bytes]:
    finished = False
    try:
        while (piece := answer.fetch()) is not None:
            yield piece.bytes()
        finished = True
    finally:
        if not finished:
            answer.cancel()


def _joined(sink: Any, first: bytes, rest: Iterator[bytes]) -> None:
    """The engine gives a stream of its own for every piece: make them one."""
    reader = pa.ipc.open_stream(first)
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        while True:
            for batch in reader:
                writer.write_batch(batch)
            piece = next(rest, None)
            if piece is None:
                return
            reader = pa.ipc.open_stream(piece)
