"""How the engine's Arrow answers become the types that are promised: time stamps in nanoseconds UTC, names as strings.

The engine's Arrow output shows some types only by their storage (`Enum` as int8, `DateTime` as uint32). Where the Arrow
type leaves a doubt, the engine's own type names settle it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.query.errors import SqlError

TIMESTAMP: Final = pa.timestamp("ns", "UTC")

_IN_DOUBT = (
    pa.types.is_int8,
    pa.types.is_int16,
    pa.types.is_uint32,
    pa.types.is_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_union,
)
_WRAPPED = re.compile(r"^(?:Nullable|LowCardinality)\((.*)\)$")
_ENUM = re.compile(r"^Enum(?:8|16)\((.*)\)$", re.DOTALL)
_ENUM_ITEM = re.compile(r"'((?:[^'\\]|\\.)*)' = (-?\d+)")
_REPLACED: Final = (
    (re.compile(r"Enum(?:8|16)\((?:'(?:[^'\\]|\\.)*' = -?\d+(?:, )?)+\)"), "String"),
    (re.compile(r"\bDateTime\b(?:\('[^']*'\))?"), "DateTime64(0, 'UTC')"),
    (re.compile(r"\b(?:UUID|IPv[46]|U?Int(?:128|256)|Time64\(\d\)|Time)(?![\w(])"), "String"),
)
_FREE_FORM: Final = re.compile(r"^(?:JSON|Variant|Dynamic|Object)\b")


def in_doubt(schema: pa.Schema) -> bool:
    """Whether the engine's own type names are needed to read the answer."""
    return any(_doubtful(field.type) for field in schema)


def _doubtful(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_time(kind) or any(test(kind) for test in _IN_DOUBT):
        return True
    return any(_doubtful(kind.field(index).type) for index in range(kind.num_fields))


def unwrapped(engine_type: str) -> str:
    """The type inside `Nullable` and `LowCardinality`."""
    while match := _WRAPPED.match(engine_type):
        engine_type = match.group(1)
    return engine_type


def retyped(types: Mapping[str, str]) -> dict[str, str]:
    """The engine's type to cast to, for columns whose type has no Arrow form that Polars reads, by name.

    Raises:
        SqlError: an aggregate state, which is no value yet.
    """
    found = {}
    for name, engine_type in types.items():
        inner = unwrapped(engine_type)
        if inner.startswith("AggregateFunction("):
            raise SqlError(f"column {name}: {inner} is a state, not a value; write finalizeAggregation({name})")
        if _ENUM.match(inner) or inner.startswith("DateTime"):
            continue
        wanted = "Nullable(String)" if _FREE_FORM.match(inner) else engine_type
        for pattern, replacement in _REPLACED:
            wanted = pattern.sub(replacement, wanted)
        if wanted != engine_type:
            found[name] = wanted
    return found


@dataclass(frozen=True, slots=True)
class Conversion:
    """Turns the engine's batches into batches of the promised schema."""

    schema: pa.Schema
    _columns: tuple[Callable[[pa.Array[Any]], pa.Array[Any]], ...]

    @classmethod
    def of(cls, arrow: pa.Schema, types: Mapping[str, str]) -> Conversion:
        """The conversion for an answer.

        Args:
            arrow: schema as the engine sends it.
            types: the engine's type of each column that is in doubt, by name; may be empty when none is.

        Raises:
            SqlError: two columns have one name.
        """
        names = arrow.names
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SqlError(f"two columns are named {twice!r}; give one another name with AS")
        pairs = [_column(field, unwrapped(types.get(field.name, ""))) for field in arrow]
        return cls(pa.schema([field for field, _ in pairs]), tuple(convert for _, convert in pairs))

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch, converted.

        Raises:
            SqlError: a value does not fit: a time stamp outside 1677-2262, or text that is not UTF-8.
        """
        arrays = []
        for field, convert, array in zip(self.schema, self._columns, batch.columns, strict=True):
            try:
                made = convert(array)
                if _holds_text(made.type):
                    made.validate(full=True)
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                raise _misfit(field, str(error)) from None
            arrays.append(made)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _misfit(field: pa.Field[Any], reason: str) -> SqlError:
    if "UTF8" in reason.upper().replace("-", ""):
        return SqlError(f"column {field.name}: holds bytes that are not UTF-8; write hex({field.name})")
    return SqlError(f"column {field.name}: a value does not fit {field.type}: {reason.splitlines()[0]}")


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    return any(_holds_text(kind.field(index).type) for index in range(kind.num_fields))


def _column(field: pa.Field[Any], engine_type: str) -> tuple[pa.Field[Any], Callable[[pa.Array[Any]], pa.Array[Any]]]:
    if match := _ENUM.match(engine_type):
        return pa.field(field.name, pa.string()), _named(match.group(1), field.type)
    if engine_type.startswith("DateTime") and pa.types.is_uint32(field.type):
        return pa.field(field.name, TIMESTAMP), _from_seconds
    target = _promised(field.type)
    if target == field.type:
        return pa.field(field.name, target), _same
    return pa.field(field.name, target), lambda array: pc.cast(array, target)


def _promised(kind: pa.DataType) -> pa.DataType:
    """The type with every time stamp in it in nanoseconds UTC, and fields nullable."""
    if pa.types.is_timestamp(kind):
        return TIMESTAMP
    if pa.types.is_list(kind):
        return pa.list_(_promised(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _promised(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", _promised(kind.key_type)), ("value", _promised(kind.item_type))]))
    return kind


def _same(array: pa.Array[Any]) -> pa.Array[Any]:
    return array


def _from_seconds(array: pa.Array[Any]) -> pa.Array[Any]:
    return pc.cast(pc.cast(pc.cast(array, pa.int64()), pa.timestamp("s", "UTC")), TIMESTAMP)


def _named(items: str, storage: pa.DataType) -> Callable[[pa.Array[Any]], pa.Array[Any]]:
    pairs = [(re.sub(r"\\(.)", r"\1", name), int(value)) for name, value in _ENUM_ITEM.findall(items)]
    values = pa.array([value for _, value in pairs], storage)
    names = pa.array([name for name, _ in pairs], pa.string())
    return lambda array: names.take(pc.index_in(array, values))
