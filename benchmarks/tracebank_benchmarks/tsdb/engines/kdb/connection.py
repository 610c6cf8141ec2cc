"""kdb+ by PyKX: q in process where there is a licence, else IPC to a q server; and Arrow to and from q's tables.

The licence is q's: without one PyKX still converts and talks IPC. Nothing here knows a table's declaration.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.engine import URL

from tracebank.settings import without_password
from tracebank.stores.faults import StatementTimeout, StoreError

NULL_LONG: Final = -(2**63)
"""What q has in the place of a null of 64 bits."""
_UTC: Final = pa.timestamp("ns", "UTC")

Call = Callable[..., Any]
"""Evaluates q: a text, or a text of a function and its arguments."""


def pykx() -> ModuleType:
    """PyKX, imported without asking anybody for a licence.

    Raises:
        StoreError: it is not installed.
    """
    # Without this an import on a terminal starts to ask questions where no licence is found.
    os.environ.setdefault("PYKX_NOQCE", "1")
    if not _licence_named():
        os.environ.setdefault("PYKX_UNLICENSED", "1")
    try:
        return import_module("pykx")
    except ImportError as error:
        raise StoreError(f"kdb: PyKX cannot be imported ({error}); install pykx") from None


def _licence_named() -> bool:
    from pathlib import Path

    if os.environ.get("KDB_LICENSE_B64") or os.environ.get("KDB_K4LICENSE_B64"):
        return True
    folders = [os.environ.get("QLIC"), os.environ.get("QHOME"), str(Path.home() / ".kx")]
    return any(
        (Path(folder) / name).exists() for folder in folders if folder for name in ("kx.lic", "kc.lic", "k4.lic")
    )


@dataclass
class KdbConnection:
    """One q, in process or behind IPC."""

    call: Call
    close: Callable[[], None]
    where: str
    url: URL | None = None

    @classmethod
    def to(cls, url: URL, *, timeout: float = 600.0) -> KdbConnection:
        """Connect to a q server.

        Args:
            url: `kdb://user:password@host:5000`.
            timeout: seconds that a question may take.

        Raises:
            StoreError: nothing answers, or it refuses the user.
        """
        kx = pykx()
        try:
            # no_ctx: the connection sends nothing but what it is asked to.
            made = kx.SyncQConnection(
                url.host, url.port or 5000, username=url.username or "", password=str(url.password or ""),
                timeout=timeout, connection_timeout=3.0, no_ctx=True,
            )  # fmt: skip
        except Exception as error:  # PyKX raises QError, ConnectionError, RuntimeError or OSError
            raise StoreError(f"kdb: {url.render_as_string()} does not answer: {_line(error, url)}") from None
        return cls(made, made.close, url.render_as_string(), url)

    @classmethod
    def in_process(cls) -> KdbConnection:
        """q in this process.

        Raises:
            StoreError: there is no licence.
        """
        kx = pykx()
        if not kx.licensed:
            raise StoreError(f"kdb: {missing_licence()}")
        return cls(kx.q, lambda: None, "in process")

    def evaluate(self, text: str, *arguments: Any) -> Any:
        """Value of a q text, or of a function's text applied to arguments.

        Raises:
            StoreError: q signals an error, or the connection breaks.
            StatementTimeout: it ran longer than it may.
        """
        kx = pykx()
        try:
            return self.call(text, *arguments)
        except kx.QError as error:
            message = _line(error, self.url)
            if "timeout" in message.lower() or message == "stop":
                raise StatementTimeout(f"kdb: {message}") from None
            raise StoreError(f"kdb: q signals {message!r} at {text[:120]!r}") from None
        except OSError as error:
            raise StoreError(f"kdb: {self.where} broke off: {_line(error, self.url)}") from None

    def table(self, text: str) -> pa.Table:
        """A q table as Arrow."""
        return arrow(self.evaluate(text))


def missing_licence() -> str:
    """What is missing and what to do, in one line."""
    return (
        "no kdb+ licence: put kc.lic (KDB-X Community Edition is free after registration), k4.lic or kx.lic into the"
        " folder that QLIC names, or set KDB_LICENSE_B64"
    )


def _line(error: BaseException, url: URL | None) -> str:
    text = " ".join(str(error).split())[:300]
    return without_password(text, url) if url is not None else text


def arrow(table: Any) -> pa.Table:
    """A q table as Arrow: symbols and strings are text, time stamps are UTC, q's nulls are nulls.

    Args:
        table: a PyKX table, keyed or not.

    Raises:
        StoreError: it is no table.
    """
    if not isinstance(table, pykx().Table):
        raise StoreError(f"kdb: the answer is a {type(table).__name__}, not a table")
    found = table.pa()
    return pa.table({name: _column(found.column(name)) for name in found.column_names})


def _column(values: pa.ChunkedArray[Any]) -> Any:
    kind = values.type
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("ns")).cast(_UTC)
    if kind == pa.int64():
        return pc.if_else(pc.equal(values, pa.scalar(NULL_LONG)), pa.scalar(None, pa.int64()), values)
    if pa.types.is_large_string(kind) or isinstance(kind, pa.DictionaryType):
        return values.cast(pa.string())
    return values


def q_table(rows: pa.Table) -> Any:
    """Arrow rows as a q table: text as symbols, time stamps as q's.

    Args:
        rows: a table without nulls.
    """
    frame = rows.to_pandas()
    for name in frame.columns:
        if str(frame[name].dtype).startswith("datetime64"):
            frame[name] = frame[name].dt.tz_localize(None)
        elif rows.schema.field(name).type in (pa.string(), pa.large_string()):
            frame[name] = frame[name].astype(object)
    return pykx().toq(frame)
