"""The language of series tables: what a declaration gives, and which declarations are refused."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from tracebank_models.market import chunks as market_chunks
from tracebank_models.market import duplicates as market_duplicates
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.series import _TYPES, TIMESTAMP, Column, Day, SeriesTable

TS = Column("ts", TIMESTAMP, "when", "UTC")
NAME = Column("name", pa.string(), "what", repeated=True)


def _table(**changed: Any) -> SeriesTable:
    plain: dict[str, Any] = {"columns": (TS, NAME), "sort_key": ("name", "ts"), "partition_by": (Day("ts"), "name")}
    return SeriesTable("t", "a table", **(plain | changed))


def test_a_declaration_gives_both_schemas() -> None:
    table = _table(
        columns=(TS, NAME, Column("v", pa.list_(pa.float32()), "v"), Column("x", pa.int8(), "x", nullable=True))
    )
    assert table.polars_schema == pl.Schema(
        {"ts": pl.Datetime("ns", "UTC"), "name": pl.String(), "v": pl.List(pl.Float32()), "x": pl.Int8()}
    )
    assert table.arrow_schema.names == ["ts", "name", "v", "x"]
    assert [field.nullable for field in table.arrow_schema] == [False, False, False, True]
    assert table.partition_columns == {"day": "ts", "name": "name"}


def test_every_type_has_one_of_polars() -> None:
    named: dict[pa.DataType, pl.DataType] = {
        TIMESTAMP: pl.Datetime("ns", "UTC"),
        pa.date32(): pl.Date(),
        pa.bool_(): pl.Boolean(),
    }
    named |= {pa.string(): pl.String(), pa.float32(): pl.Float32(), pa.float64(): pl.Float64()}
    named |= {pa.list_(kind): pl.List(named[kind]) for kind in (pa.float32(), pa.float64())}
    whole = [f"{kind}{width}" for kind in ("Int", "UInt") for width in (8, 16, 32, 64)]
    named |= {getattr(pa, name.lower())(): getattr(pl, name)() for name in whole}
    assert set(named) == set(_TYPES)
    columns = [TS, NAME, *(Column(f"c{at}", kind, "any") for at, kind in enumerate(named))]
    assert list(_table(columns=tuple(columns)).polars_schema.values())[2:] == list(named.values())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"columns": (TS, NAME, TS)}, r"a column name stands twice in \['ts', 'name', 'ts'\]"),
        ({"sort_key": ("nothing",)}, r"keys name columns \['nothing'\] that are not declared"),
        ({"unique_key": ("nothing",)}, r"keys name columns \['nothing'\]"),
        ({"partition_by": ("nothing",)}, r"keys name columns \['nothing'\]"),
        ({"columns": (TS, NAME, Column("v", pa.timestamp("us"), "v"))}, r"columns \['v'\] have a type"),
        ({"columns": (TS, Column("name", pa.string(), "w", nullable=True))}, r"columns \['name'\] may not be nullable"),
        ({"columns": (TS, NAME, Column("v", pa.list_(pa.float32()), "v", nullable=True))}, "may not be nullable"),
        ({"partition_by": (Day("name"),)}, "day is of name, which is no time stamp"),
        ({"partition_by": ("ts",)}, r"partition key ts is timestamp.*; use text, integer or date"),
        ({"partition_by": (Day("ts"), Day("ts"))}, "two partition keys have one name"),
    ],
)  # fmt: skip
def test_a_faulty_declaration_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"table t: .*{says}"):
        _table(**changed)


def test_the_catalogue_knows_its_tables_by_name_and_says_what_each_column_is() -> None:
    for name, table in TABLES.items():
        assert table.name == name
        assert table.doc.endswith(".")
        assert [column.name for column in table.columns if not column.doc] == []


@pytest.mark.parametrize("table", market_chunks.TABLES)
def test_readers_of_market_files_decode_what_is_declared(table: str) -> None:
    declared = TABLES[table]
    assert pl.Schema(market_chunks.TABLES[table]) == declared.polars_schema
    named = {"venue", "symbol", "ts", market_duplicates.BY_TIME.get(table, "seq"), "event"}
    assert named.issuperset(declared.unique_key), "duplicates are told by these"
