"""ClickHouse's HTTP protocol over the engine in this process, as far as its clients use it: statements in the URL or
the body, `param_…`, settings, `FORMAT`, rows in a body behind an INSERT, exceptions by code.

There are two fronts. On `engine` everything runs that is the store's own work; `POST /sql` admits and answers queries
of `tracebank` there, in frames. On `reader` only what the guard admits runs, under settings that cannot be taken back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import select
import sys
import threading
import uuid
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from tracebank.engines.clickhouse.body import INSERTS, Body, Chunks, apart
from tracebank.engines.clickhouse.commit import inserting
from tracebank.engines.clickhouse.guard import LAST_SIZE, admit, check_name
from tracebank.engines.clickhouse.local import LocalReader, reading
from tracebank.engines.clickhouse.query import answered
from tracebank.engines.clickhouse.run import functions
from tracebank.engines.clickhouse.wire import Frames
from tracebank.query.contract import Limits, Request
from tracebank.query.errors import SqlError, SqlRefused
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.owner import Owner

_FORMAT: Final = re.compile(r"\bFORMAT\s{1,20}([A-Za-z0-9]+)$", re.IGNORECASE)
_FORMAT_WITHIN: Final = 100
"""Characters at a statement's end in which its format is looked for."""
_OF_PYTHON: Final = frozenset({"DataFrame", "ArrowTable"})
"""Formats that are no bytes."""
_CLIENTS: Final = 64
"""Connections of other programs at once."""
_STALLED_SECONDS: Final = 60.0
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
_HUNG_UP: Final = select.POLLHUP | select.POLLERR
"""What tells that the other end is closed. That it will send no more (`POLLRDHUP`) is no sign: it may wait to hear."""


class Front(ThreadingMixIn, UnixStreamServer):
    """One of the owner's sockets."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, owner: Owner, *, fenced: bool) -> None:
        super().__init__(address, Handler)
        self.owner = owner
        self.fenced = fenced

        self._places = threading.Semaphore(_CLIENTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; of other programs', no more than some at once."""
        if self.fenced and not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            if self.fenced:
                self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left or stalled is no event; everything else stands in the owner's log."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Front
    _begun = False
    """Whether an answer was begun on the present request."""

    def setup(self) -> None:
        """Other programs may not stall: who neither sends nor takes for a minute is left."""
        super().setup()
        if self.server.fenced:
            self.connection.settimeout(_STALLED_SECONDS)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """`/ping`, or a statement in the URL."""
        if urlsplit(self.path).path in ("/ping", "/replicas_status") or "query=" not in self.path:
            self.close_connection = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            self._whole(200, b"Ok.\n")
            return
        self.do_POST()

    def do_POST(self) -> None:
        """A statement, or one of the owner's own services."""
        self._begun = False
        place, owner = urlsplit(self.path).path, self.server.owner
        try:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            body = Body(self.rfile, self.headers)
        except ValueError as error:
            self._refuse(400, f"{error}\n")
            return
        if host not in _HERE:
            # A page that a browser was made to take for one of this machine.
            self._refuse(403, "only 127.0.0.1, ::1 and localhost are served\n")
            return
        with owner.at_work() as is_taken:
            if not is_taken:
                self.close_connection = True  # unanswered: the next owner is asked, where the store is now
            elif place == "/sql" and not self.server.fenced:
                self._frames(json.loads(body.read()))
            elif place == "/stop" and not self.server.fenced:
                self._whole(200, b"")
                self.server.owner.leave()
            else:
                self._statement(body)

    def _refuse(self, status: int, why: str) -> None:
        """Answer without having read the body, which must not be taken for another request."""
        self.close_connection = True
        self._whole(status, why.encode())

    def _statement(self, body: Body) -> None:
        url = {n: v[-1] for n, v in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        try:
            if self.headers.get("Content-Encoding"):
                raise StoreError("Code: 48. DB::Exception: compressed requests are not taken; send compress=False")
            if self.server.fenced:
                self._read("\n".join(filter(None, (url.get("query", ""), body.all(LAST_SIZE).decode()))), url)
                return
            text, rows = apart(url.get("query", ""), body)
            if rows is not None:
                self._insert(text, rows, url)
            else:
                self._run(text, url)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # whatever the engine raises: who asked must hear of it
            self.close_connection = self._begun or not body.is_read
            if not self._begun:
                self._fault(error)

    def _settings(self, url: dict[str, str]) -> dict[str, str]:
        given = {n: v for n, v in url.items() if n not in _TRANSPORT and not n.startswith("param_")}
        return {n: v for n, v in given.items() if n in _OF_A_READER} if self.server.fenced else given

    def _run(self, text: str, url: dict[str, str]) -> None:
        engine = self.server.owner.engine
        form, _ = self._form(text, url)
        settings, database = self._settings(url), url.get("database", "")
        with contextlib.ExitStack() as held:
            if _READS.match(text):
                handle = held.enter_context(engine.querying(settings, database, self._gone))
            else:
                name = held.enter_context(engine.cancellable(self._gone))
                handle = held.enter_context(engine.handle({**settings, "log_comment": name}, database))
            self._answer(handle, text, form, _parameters(url))

    def _read(self, text: str, url: dict[str, str]) -> None:
        owner = self.server.owner
        if len(text) > LAST_SIZE:
            raise SqlError(f"the query has {len(text):,} characters; at most {LAST_SIZE:,} are taken")
        form, bare = self._form(text, url)
        database = url.get("database", "")
        if database in ("", "default", "__default__"):
            database = owner.database
        check_name([database, ""])
        # What is held whole before it is sent must not be more than the query may hold.
        settings = {"max_result_bytes": str(owner.limits.memory), **self._settings(url)}
        with owner.attached(f"{database} {bare}"):
            with LocalReader.opened(owner.engine, database, owner.limits, None, self._gone) as reader:
                statement = admit(bare, reader, functions(reader))
            with (
                owner.engine.cancellable(self._gone) as name,
                reading(owner.engine, database, owner.limits, name, settings) as handle,
            ):
                self._answer(handle, statement.text, form, _parameters(url))

    def _form(self, text: str, url: dict[str, str]) -> tuple[str, str]:
        """The form that is asked for, and the statement without it."""
        text = text.rstrip(" \t\r\n;")
        found = _FORMAT.search(text, max(0, len(text) - _FORMAT_WITHIN))
        if found:
            return found[1], text[: found.start()]
        form = url.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
        if not form.isalnum() or form in _OF_PYTHON:
            raise SqlError(f"format {form[:40]!r} is not given here; use e.g. TabSeparated, JSON or Parquet")
        return form, text

    def _insert(self, text: str, rows: Body, url: dict[str, str]) -> None:
        owner = self.server.owner
        found = INSERTS.fullmatch(text)
        if found is None:
            raise StoreError(f"Code: 62. DB::Exception: INSERT … FORMAT is expected, not {text[:80]!r}")
        settings, database = self._settings(url), url.get("database", "")
        # It has the rows: it goes on though nobody waits any more.
        with owner.spooled(rows) as path, owner.engine.querying(settings, database, lambda: False) as handle:
            handle.query(inserting(found[1], found[2], path))
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
        is_chunked = self.request_version == "HTTP/1.1"
        self._head(200, form)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sink = Chunks(self.wfile) if is_chunked else self.wfile
        # What fails on the way leaves the answer without its end, so that nobody takes it for whole.
        if form.lower() == "arrowstream":
            _joined(sink, first, rest)
        else:
            _in_a_row(sink, first, rest)
        if is_chunked:
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
            with (
                owner.attached(request.text, asked["relational"], asked["activations"]) as (dialect, absence),
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
        self._begun = True
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
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


def _in_a_row(sink: Any, first: bytes, rest: Iterator[bytes]) -> None:
    """Pieces as they are; behind them, as the server does it, what failed: clients of text and Native look for it."""
    try:
        sink.write(first)
        for piece in rest:
            sink.write(piece)
    except RuntimeError as error:
        sink.write(f"\n{error}\n".encode())
        raise


def _joined(sink: Any, first: bytes, rest: Iterator[bytes]) -> None:
    """The engine gives a stream of its own for every piece: make them one."""
    reader = pa.ipc.open_stream(first)
    # Closed at the end alone: closing says that the answer is whole.
    writer = pa.ipc.new_stream(sink, reader.schema)
    for piece in itertools.chain([None], rest):
        for batch in reader if piece is None else pa.ipc.open_stream(piece):
            writer.write_batch(batch)
    writer.close()
