"""The foundation of relational tables: the declarative class, naming conventions and column types both engines share.

Tables stand in the module of their subject (`ledger`, `ingest`, ...).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

BigInt = BigInteger().with_variant(Integer, "sqlite")
"""64-bit integer; SQLite's INTEGER already is one."""

VOLATILE: Final = {"volatile": True}
"""`info` of a column that tells when a row was made and not what it says: it is no part of the content."""


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
