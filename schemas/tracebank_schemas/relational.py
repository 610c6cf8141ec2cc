"""The foundation of relational tables: the declarative class, naming conventions and column types both engines share.

Tables stand in the module of their subject (`ledger`, `ingest`, ...).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

BigInt = BigInteger().with_variant(Integer, "sqlite")
"""64-bit integer; SQLite's INTEGER already is one."""

_HOME: Final = "tracebank_home"

VOLATILE: Final = {"volatile": True}
"""`info` of a column that tells when a row was made, or where its file lies, and not what it says: it is no part of
the content."""

DEFERRED: Final[dict[str, Any]] = {"deferrable": True, "initially": "DEFERRED"}
"""Of a constraint that is looked at when the transaction ends."""

IN_HOME: Final = "./"
"""How the path of what lies in the home begins as it is stored; nothing else begins so, no id of the Hub either."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant in microseconds. Aware on the Python side; UTC text in SQLite, `timestamptz` in PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive values, which would mean another instant on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"date-time {value!r} has no time zone; give one in UTC")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give every value back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def stored_path(path: str, home: Path) -> str:
    """A path as it is stored: from the home on where it lies in there, else as it is (a folder elsewhere, a Hub id)."""
    for place, root in ((Path(path), home), (Path(path).resolve(), home.resolve())) if Path(path).is_absolute() else ():
        if place.is_relative_to(root):
            return IN_HOME + place.relative_to(root).as_posix()
    return path


def resolved_path(stored: str, home: Path) -> str:
    """Where a stored path is, for a home that may be another one than it was stored in."""
    return str(home / stored.removeprefix(IN_HOME)) if stored.startswith(IN_HOME) else stored


class HomePath(TypeDecorator[str]):
    """A file or folder, stored from the home on where it lies in there, so that a home may be copied or moved.

    The home is that of the store that the dialect is of, see `set_home`; without one paths go in and out as they are.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is stored."""
        home = home_of(dialect)
        return value if value is None or home is None else stored_path(value, home)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Where it is."""
        home = home_of(dialect)
        return value if value is None or home is None else resolved_path(value, home)


class TokenText(TypeDecorator[str]):
    """The text of a token. A NUL, which PostgreSQL does not keep in text, is its symbol, U+2400, in every store."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is stored, and asked for."""
        del dialect
        return value if value is None else value.replace("\0", "\u2400")


def set_home(dialect: Dialect, home: Path | None) -> None:
    """Say which home the paths of a store are of."""
    setattr(dialect, _HOME, home)


def home_of(dialect: Dialect) -> Path | None:
    """The home that the paths of a store are of."""
    found: Path | None = getattr(dialect, _HOME, None)
    return found


def owned_by(column: str, ondelete: str = "CASCADE") -> ForeignKey:
    """Refer to what a row is of: it goes with that, or forgets it (`SET NULL`).

    Looked at when the transaction ends, so that rows may be written in any order.
    """
    return ForeignKey(column, ondelete=ondelete, **DEFERRED)


class Base(DeclarativeBase):
    """Declarative class of every relational table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, int: BigInt}  # noqa: RUF012

    def row(self) -> dict[str, Any]:
        """Column values by name."""
        return {column.key: getattr(self, column.key) for column in self.__table__.columns}
