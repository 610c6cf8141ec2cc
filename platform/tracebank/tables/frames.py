"""Frames on their way into a store: made Arrow and held against the table's declaration, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tracebank.stores.faults import FrameRefused
from tracebank_schemas.series import SeriesTable

Frame = pl.DataFrame | pa.Table | pa.RecordBatch
"""A block of rows on its way in; a long table is an iterator of them."""

Limits = Mapping[pa.DataType, tuple[int, int, str]]
"""Smallest and largest value, in the type's own unit, that an engine keeps of a type, and both in words."""


def as_frames(frames: Frame | Iterable[Frame]) -> Iterator[Frame]:
    """One frame or many, as an iterator."""
    if isinstance(frames, pl.DataFrame | pa.Table | pa.RecordBatch):
        return iter((frames,))
    return iter(frames)


def _is_string(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.DictionaryType):  # its value type is what counts
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _same_type(found: pa.DataType, declared: pa.DataType) -> bool:
    if pa.types.is_list(declared):
        listed = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
        return listed and found.field(0).type == declared.field(0).type
    return bool(found == declared or (declared == pa.string() and _is_string(found)))


def _shape_fault(table: SeriesTable, schema: pa.Schema) -> str | None:
    declared = table.arrow_schema
    if len(set(schema.names)) != len(schema.names):
        return f"a column stands twice in {schema.names}"
    if missing := [name for name in declared.names if name not in schema.names]:
        return f"columns {missing} are missing"
    if unknown := [name for name in schema.names if name not in declared.names]:
        return f"columns {unknown} are not declared"
    for field in declared:
        found = schema.field(field.name).type
        if not _same_type(found, field.type):
            return f"column {field.name} is {found}, declared {field.type}"
    return None


def fitted(table: SeriesTable, frame: Frame, limits: Limits | None = None) -> pa.Table:
    """The frame as Arrow in the declared column order and types; text and lists have 64-bit offsets, so that no length
    is too great. Buffers are shared where the layout is the same.

    Args:
        table: the declaration.
        frame: rows.
        limits: values that the engine keeps, of types of which it does not keep all.

    Raises:
        FrameRefused: columns are missing or unknown, a type differs, a null stands where none may, or a value is beyond
            what the engine keeps.
    """
    if isinstance(frame, pl.DataFrame):
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    else:
        arrow = pa.Table.from_batches([frame]) if isinstance(frame, pa.RecordBatch) else frame
    if fault := _shape_fault(table, arrow.schema):
        raise FrameRefused(f"table {table.name}: {fault}; nothing was written")
    wide = pa.schema([pa.field(c.name, _wide(c.type)) for c in table.columns])
    try:
        rows = arrow.select(wide.names).cast(wide)
    except pa.ArrowInvalid as error:
        raise FrameRefused(f"table {table.name}: {str(error).splitlines()[0]}; nothing was written") from None
    for field in table.arrow_schema:
        if fault := _value_fault(field, rows.column(field.name), limits or {}):
            raise FrameRefused(f"table {table.name}: column {field.name} {fault}; nothing was written")
    return rows


def _wide(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.large_list(kind.field(0).type)
    return pa.large_string() if kind == pa.string() else kind


def _value_fault(field: pa.Field[Any], values: pa.ChunkedArray[Any], limits: Limits) -> str | None:
    if values.null_count and not field.nullable:
        return f"has {values.null_count} nulls and may have none"
    if pa.types.is_list(field.type):
        inside = sum(pc.list_flatten(chunk).null_count for chunk in values.chunks)
        return f"has {inside} nulls in its lists and may have none" if inside else None
    if field.type in limits and values.null_count < len(values):
        low, high, words = limits[field.type]
        ends = pc.min_max(values.cast(pa.int32()))
        if ends["min"].as_py() < low or ends["max"].as_py() > high:
            return f"has values beyond {words}"
    return None
