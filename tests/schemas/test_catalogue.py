"""The catalogue finds every declaration by itself, and only those of the package."""

from __future__ import annotations

import pyarrow as pa
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas import catalogue, tsdb_benchmark
from tracebank_schemas.market import TRADES
from tracebank_schemas.relational import Base
from tracebank_schemas.series import Column, SeriesTable


def test_declarations_are_found_and_the_benchmarks_own_are_not_among_them() -> None:
    assert catalogue.TABLES["trades"] is TRADES
    assert not {table.name for table in tsdb_benchmark.TABLES} & set(catalogue.TABLES)
    assert {model.__tablename__ for model in catalogue.MODELS} == set(catalogue.METADATA.tables)


def test_a_table_of_a_test_is_none_of_the_catalogues() -> None:
    made = SeriesTable("strays", "A test's.", (Column("name", pa.string(), "n"),), ("name",), ("name",))
    assert made.name not in catalogue._series_tables()

    class Stray(Base):
        __tablename__ = "strays"
        name: Mapped[str] = mapped_column(primary_key=True)

    try:
        assert Stray not in catalogue._models()
    finally:
        Base.metadata.remove(Stray.__table__)  # type: ignore[arg-type]
        Base.registry._dispose_cls(Stray)
