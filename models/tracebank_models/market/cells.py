"""Cells of a table as values: how the text (or value) of each column is read, which values are allowed, and why not.

Fields that several formats share, the check of a block of rows against them, and the schema of stored frames belong
here; where the cells come from does not. Nothing here loops over rows, except over the few that are bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tracebank_models.market.chunks import DECODED, RejectedLine
from tracebank_models.market.timestamps import EARLIEST_NS, LATEST_NS

MAX_PRICE, MAX_QUANTITY = 1e15, 1e18
"""Larger numbers are taken for damage."""

_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_UTC_NS = pl.Datetime("ns", "UTC")


@dataclass(frozen=True, slots=True)
class Field:
    """A column that is used: how its text becomes a value, and which values are allowed."""

    name: str
    value: pl.Expr
    """Over the raw frame; null (or NaN, for an optional number) where the text cannot be read."""
    allowed: str
    """What is allowed, in words, for the reason of a rejected line."""
    valid: pl.Expr
    """Over the typed frame; false or null where the value is not allowed."""


def whole(name: str) -> Field:
    """A whole number that is not negative and fits 64 bits."""
    return Field(name, integer(name), "a whole number from 0", pl.col(name) >= 0)


def price(name: str) -> Field:
    """A finite number; spreads, power and oil have traded at zero and below."""
    within = pl.col(name).abs() <= MAX_PRICE  # NaN does not pass: it compares as the largest number
    return Field(name, number(name), f"a number from {-MAX_PRICE:g} to {MAX_PRICE:g}", within)


def quantity(name: str) -> Field:
    """A finite number from zero."""
    within = (pl.col(name) >= 0) & (pl.col(name) <= MAX_QUANTITY)
    return Field(name, number(name), f"a number from 0 to {MAX_QUANTITY:g}", within)


def optional(field: Field) -> Field:
    """The same field of finite numbers, where an empty cell is allowed and gives null."""
    column = pl.col(field.name)
    value = pl.when(column.is_null()).then(None).otherwise(field.value.fill_null(float("nan")))
    return Field(field.name, value, f"{field.allowed}, or empty", column.is_null() | field.valid)


def text(name: str) -> Field:
    """Text that is not empty and was valid UTF-8."""
    return Field(name, pl.col(name), "text in UTF-8", ~pl.col(name).str.contains("\ufffd", literal=True))


def choice(name: str, values: Mapping[str, str], *, empty: str | None = None) -> Field:
    """One of the keys of `values`, in any case, which stands for its value; an empty cell stands for `empty`."""
    cell = pl.col(name).str.to_lowercase().replace_strict(dict(values), default=None, return_dtype=pl.String)
    value = cell if empty is None else pl.when(pl.col(name).is_null()).then(pl.lit(empty)).otherwise(cell)
    return Field(name, value, " or ".join(values) + ("" if empty is None else " or empty"), _known(name))


def flag(name: str) -> Field:
    """Either true or false, in any case."""
    cell = pl.col(name).str.to_lowercase()
    return Field(
        name, pl.when(cell == "true").then(True).when(cell == "false").then(False), "true or false", _known(name)
    )


def epoch(name: str, *units: str) -> Field:
    """A whole number of `units` (of ms, us, ns) since 1970, the unit told by magnitude, as a time in UTC."""
    return time_of(name, epoch_time(integer(name), *units), form=f" in {' or '.join(units)}")


def time_of(name: str, value: pl.Expr, *, form: str = "", optional: bool = False) -> Field:
    """A time from 2000 to 2099, made by `value`; where it is optional, an empty cell is allowed and gives null."""
    allowed = f"a time from 2000 to 2099{form}"
    if not optional:
        return Field(name, value, allowed, _known(name))
    damaged = pl.lit(0, dtype=pl.Int64).cast(_UTC_NS)
    kept = pl.when(pl.col(name).is_not_null()).then(value.fill_null(damaged))
    return Field(name, kept, f"{allowed}, or empty", pl.col(name).is_null() | (pl.col(name) != damaged))


def epoch_time(count: pl.Expr, *units: str) -> pl.Expr:
    """Turn whole numbers since 1970 into times (ns, UTC); null where no unit gives a year from 2000 to 2099."""
    nanoseconds = pl.lit(None, dtype=pl.Int64)
    for unit in units:
        scale = _PER_SECOND["ns"] // _PER_SECOND[unit]
        fits = (count >= EARLIEST_NS // scale) & (count < LATEST_NS // scale)
        nanoseconds = pl.when(fits).then(count * scale).otherwise(nanoseconds)
    return nanoseconds.cast(_UTC_NS)


def iso_time(name: str) -> pl.Expr:
    """ISO 8601 text with seconds, at most nine decimals and a zone (else UTC) as a time in UTC; null otherwise."""
    parts = pl.col(name).str.extract_groups(
        r"^(?<day>\d{4}-\d{2}-\d{2})[TD ](?<clock>\d{2}:\d{2}:\d{2})(?:\.(?<part>\d{1,9}))?"
        r" ?(?:Z|UTC|(?<sign>[+-])(?<hours>[01]\d):?(?<minutes>[0-5]\d))?$"
    )
    part = {name: parts.struct.field(name) for name in ("day", "clock", "part", "sign", "hours", "minutes")}
    second = pl.concat_str(part["day"], part["clock"], separator=" ")
    seconds = second.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False).dt.epoch("s")
    east = part["hours"].cast(pl.Int64) * 3600 + part["minutes"].cast(pl.Int64) * 60
    east = pl.when(part["sign"] == "-").then(-east).otherwise(east).fill_null(0)
    decimals = part["part"].fill_null("").str.pad_end(9, "0").cast(pl.Int64)
    utc = seconds - east
    within = (utc >= EARLIEST_NS // 10**9) & (utc < LATEST_NS // 10**9)
    return pl.when(within).then(utc * 10**9 + decimals).cast(_UTC_NS)


def seconds_time(name: str) -> pl.Expr:
    """Seconds since 1970 with any decimals, as text, as a time in UTC to the nanosecond; null otherwise."""
    parts = pl.col(name).str.extract_groups(r"^(?<whole>\d{9,10})(?:\.(?<part>\d+))?$")
    whole = parts.struct.field("whole").cast(pl.Int64)
    decimals = parts.struct.field("part").fill_null("").str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64)
    within = (whole >= EARLIEST_NS // 10**9) & (whole < LATEST_NS // 10**9)
    return pl.when(within).then(whole * 10**9 + decimals).cast(_UTC_NS)


def _known(name: str) -> pl.Expr:
    return pl.col(name).is_not_null()


def integer(name: str) -> pl.Expr:
    """The cells of a column as 64-bit integers; null where they are none."""
    return pl.col(name).cast(pl.Int64, strict=False)


def number(name: str) -> pl.Expr:
    """The cells of a column as 64-bit floats; null where they are none."""
    return pl.col(name).cast(pl.Float64, strict=False)


def check(
    raw: pl.DataFrame, fields: Sequence[Field], shown: Callable[[int], str]
) -> tuple[pl.DataFrame, list[RejectedLine]]:
    """Make values of raw cells and tell the rows with a bad one.

    Args:
        raw: The cells, and `line`.
        fields: What is wanted of them.
        shown: The text of row i, for its rejection.

    Returns:
        `line` and the fields of the good rows, and the bad rows with the first bad field of each as the reason.
    """
    typed = raw.select("line", *(field.value.alias(field.name) for field in fields))
    verdicts = [
        pl.when(field.valid.fill_null(False)).then(None).otherwise(pl.lit(index, dtype=pl.Int16))
        for index, field in enumerate(fields)
    ]
    first_bad = typed.select(first_bad=pl.coalesce(verdicts)).to_series()
    if first_bad.null_count() == typed.height:
        return typed, []
    at = first_bad.is_not_null().arg_true()
    bad = []
    for row, which, line in zip(at, first_bad.gather(at), raw["line"].gather(at), strict=True):
        field = fields[which]
        cell = raw[field.name][row]
        value = "an empty cell" if cell is None else repr(cell[:80] if isinstance(cell, str) else cell)
        bad.append(RejectedLine(line, f"{field.name}: {value} is not allowed: {field.allowed}", shown(row)))
    return typed.filter(first_bad.is_null()), bad


def without_nothing(rows: pl.DataFrame, qty: str, kind: str, ignored: dict[str, int]) -> pl.DataFrame:
    """Leave out trades whose quantity is zero, and count them in `ignored` as those of `kind` that are of nothing."""
    kept = rows.filter(pl.col(qty) != 0)
    if kept.height < rows.height:
        ignored[f"{kind}:nothing"] = ignored.get(f"{kind}:nothing", 0) + rows.height - kept.height
    return kept


def resting(price: str, qty: str, column: str | None = None) -> pl.Expr:
    """A column of a level (the price unless named): null where price and quantity are both 0, so that nothing rests."""
    nothing = (pl.col(price) == 0) & (pl.col(qty) == 0)
    return pl.when(~nothing.fill_null(False)).then(pl.col(column or price))


def conform(table: str, rows: pl.DataFrame, **columns: pl.Expr | str | None) -> pl.DataFrame:
    """Give a decoded frame the schema of `table`: `columns` by expression or constant, the rest by name from `rows`."""
    made = {
        name: value if isinstance(value, pl.Expr) else pl.lit(value, dtype=pl.String) for name, value in columns.items()
    }
    return rows.select(made.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in DECODED[table].items())
