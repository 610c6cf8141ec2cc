"""HTTP to an InfluxDB 1.x server: questions in InfluxQL, answers as CSV or JSON, points as line protocol.

Knows the server's protocol and its faults; not what a table is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import polars as pl
import pyarrow as pa
import urllib3
from sqlalchemy.engine import URL

from tracebank.settings import without_password
from tracebank.stores.faults import StoreError

Buffer = bytes | memoryview

CHUNK_ROWS: Final = 50_000
"""Rows that the server holds back before it sends a piece of a streamed answer."""
_PIECE: Final = 8 << 20


def identifier(name: str) -> str:
    """A name between double quotes."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def literal(value: str) -> str:
    """A string between single quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


class InfluxConnection:
    """One server and one database of it; threads may share it."""

    def __init__(self, url: URL, *, timeout: float = 600.0, connections: int = 8) -> None:
        """Take the address; nothing is sent yet.

        Args:
            url: `influxdb://user:password@host:8086/database`, or `influxdbs` for TLS.
            timeout: seconds that one request may take.
            connections: connections kept open, one for each thread that writes.
        """
        scheme = "https" if url.drivername == "influxdbs" else "http"
        self._url = url
        self._address = f"{scheme}://{url.host}:{url.port or 8086}"
        self.database = str(url.database)
        headers = urllib3.make_headers(basic_auth=f"{url.username}:{url.password}") if url.username else {}
        self._headers: dict[str, str] = dict(headers)
        self._pool = urllib3.PoolManager(
            maxsize=connections, retries=False, timeout=urllib3.Timeout(connect=5.0, read=timeout)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def fault(self, message: object) -> StoreError:
        """A `StoreError` of one line that names the server and no password."""
        text = without_password(" ".join(str(message).split()), self._url)
        return StoreError(f"series store {self._url.render_as_string()}: {text[:500]}")

    def version(self) -> str:
        """Version of the server.

        Raises:
            StoreError: nothing answers.
        """
        response = self._send("GET", "/ping", {})
        return str(response.headers.get("X-Influxdb-Version", "")) or "unknown"

    def _send(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str],
        body: Buffer | None = None,
        accept: str = "application/json",
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        headers = {**self._headers, "Accept": accept}
        try:
            if body is not None:
                address = f"{self._address}{path}?{urlencode(fields)}"
                response = self._pool.urlopen(method, address, body=bytes(body), headers=headers)
            elif method == "POST":
                response = self._pool.request(
                    method, self._address + path, fields=dict(fields), headers=headers, encode_multipart=False,
                    preload_content=not stream,
                )  # fmt: skip
            else:
                response = self._pool.request(method, self._address + path, fields=dict(fields), headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise self.fault(f"does not answer: {error}") from None
        if response.status >= 400:
            raise self.fault(_message(response))
        return response

    def _ask(self, text: str, **options: str) -> dict[str, str]:
        return {"q": text, "db": self.database, "epoch": "ns", **options}

    def json(self, text: str) -> list[dict[str, Any]]:
        """Answer of one or more statements, one result for each, in their order.

        Raises:
            StoreError: a statement failed.
        """
        answer = json.loads(self._send("POST", "/query", self._ask(text)).data)
        results: list[dict[str, Any]] = answer["results"]
        for result in results:
            if "error" in result:
                raise self.fault(result["error"])
        return results

    def table(self, text: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer of one statement as Arrow: tags first, then its columns; `time` in UTC."""
        bound = {"params": json.dumps(dict(parameters))} if parameters else {}
        response = self._send("POST", "/query", self._ask(text, **bound))
        results = json.loads(response.data)["results"]
        if len(results) != 1 or "error" in results[0]:
            raise self.fault(results[0].get("error", "one statement at a time") if results else "no statement")
        rows: list[dict[str, Any]] = [
            {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
            for series in results[0].get("series", ())
            for values in series["values"]
        ]
        answer = pa.Table.from_pylist(rows)
        if "time" in answer.column_names:
            at = answer.schema.get_field_index("time")
            stamps = answer.column(at).cast(pa.timestamp("ns", "UTC"))
            answer = answer.set_column(at, "time", stamps)
        return answer

    def csv(self, text: str, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """Answer of one statement, every row read.

        Args:
            text: the statement.
            types: types of columns; a column that is not named is text. `time` is integer nanoseconds; `_name` and
                `_tags` are the measurement and the tags that the statement groups by.
        """
        body = self._send("POST", "/query", self._ask(text), accept="application/csv").data
        return self._parsed(text, body, types)

    def stream(self, text: str, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        """As `csv`, in frames of some ten thousand rows; no value may hold a line break."""
        asked = self._ask(text, chunked="true", chunk_size=str(CHUNK_ROWS))
        response = self._send("POST", "/query", asked, accept="application/csv", stream=True)
        try:
            header, rest, any_rows = b"", b"", False
            for piece in response.stream(_PIECE):
                block = rest + piece
                if not header:
                    header, found, block = block.partition(b"\n")
                    if not found:
                        header, rest = b"", header
                        continue
                    header += b"\n"
                end = block.rfind(b"\n") + 1
                rest = block[end:]
                if end:
                    any_rows = True
                    yield self._parsed(text, header + block[:end], types)
            if not any_rows:
                self._parsed(text, header + rest, types)
        except urllib3.exceptions.HTTPError as error:
            raise self.fault(f"the answer broke off: {error}") from None
        finally:
            response.close()
            response.release_conn()

    def _parsed(self, text: str, body: bytes, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        if not body.strip():
            # In CSV a statement that failed looks like one that found nothing.
            self.json(text)
            return pl.DataFrame()
        names = body[: body.index(b"\n")].decode().split(",")
        if names[:3] != ["name", "tags", "time"]:
            raise self.fault(body.decode(errors="replace"))
        # The first three columns are the protocol's own: measurement, tags, time. A field may be called as they are.
        schema = {f"_{names[0]}": pl.String(), f"_{names[1]}": pl.String(), "time": pl.Int64()}
        schema |= {name: types.get(name, pl.String()) for name in names[3:]}
        return pl.read_csv(io.BytesIO(body), has_header=False, skip_rows=1, schema=schema)

    def write(self, retention: str, body: Buffer) -> None:
        """Write points.

        Raises:
            StoreError: the server refused them, all or some.
        """
        where = {"db": self.database, "precision": "ns"}
        if retention:
            where["rp"] = retention
        self._send("POST", "/write", where, body)


def _message(response: urllib3.BaseHTTPResponse) -> str:
    data = response.data
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status}: {data[:300].decode(errors='replace')}"
