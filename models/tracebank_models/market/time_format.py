"""Times written as text in any layout that `strftime` can write, as columns of nanoseconds, exactly.

Which layout a file has, and in which time zone, is said by whoever reads it: nothing is guessed here.
"""

from __future__ import annotations

import re

import polars as pl

from tracebank_models.market.timestamps import EARLIEST_NS, LATEST_NS

DIRECTIVES: dict[str, str] = {
    "%Y": r"(?<Y>\d{4})",
    "%y": r"(?<y>\d{2})",
    "%m": r"(?<m>\d{1,2})",
    "%b": r"(?<b>[A-Za-z]{3})",
    "%d": r"(?<d>\d{1,2})",
    "%H": r"(?<H>\d{2})",
    "%I": r"(?<I>\d{1,2})",
    "%p": r"(?<p>[AaPp][Mm])",
    "%M": r"(?<M>\d{2})",
    "%S": r"(?<S>\d{2})",
    "%f": r"(?<f>\d+)",
    "%z": r"(?<z>Z|[+-]\d{2}:?\d{2})",
}
"""What a layout may be made of, and how each looks."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_PART = re.compile("%.")


def unknown_directives(layout: str) -> list[str]:
    """Directives of a layout that are not known, stand twice, or are lacking."""
    found = _PART.findall(layout)
    wrong = [part for part in found if part not in DIRECTIVES]
    wrong += [f"{part} twice" for part in DIRECTIVES if found.count(part) > 1]
    wrong += ["%I without %p"] if "%I" in found and "%p" not in found else []
    lacking = [" or ".join(ways) for ways in (("%Y", "%y"), ("%m", "%b"), ("%d",)) if not set(ways) & set(found)]
    return wrong + [f"a layout without {ways}" for ways in lacking]


def has_zone(layout: str) -> bool:
    """Whether times in a layout say their offset from UTC."""
    return "%z" in layout


def time_of_text(cell: pl.Expr, layout: str, zone: str | None) -> pl.Expr:
    """Turn text into times (ns, UTC).

    Args:
        cell: The text.
        layout: As `strftime` has it, of `DIRECTIVES`; decimals beyond nine are dropped.
        zone: Time zone of times that say no offset.

    Returns:
        The times; null where the text has another layout, is no time, or is one that the zone skips or has twice.
    """
    parts = cell.str.strip_chars().str.extract_groups(f"^{_pattern(layout)}$")
    part = {name[1]: parts.struct.field(name[1]) for name in _PART.findall(layout)}
    zero = pl.lit("00")
    clock = [_hour(part), part.get("M", zero), part.get("S", zero)]
    text = pl.concat_str(*_day(part), *clock, separator=" ")
    wall = text.str.to_datetime("%Y %m %d %H %M %S", time_unit="us", strict=False)
    if "z" in part:
        seconds = wall.dt.epoch("s") - _east(part["z"])
    else:
        utc = wall.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
        seconds = utc.dt.epoch("s")
    nanoseconds = seconds * 10**9 + (_decimals(part["f"], 9) if "f" in part else 0)
    within = (seconds >= EARLIEST_NS // 10**9) & (seconds < LATEST_NS // 10**9)
    return pl.when(within).then(nanoseconds).cast(pl.Datetime("ns", "UTC"))


def time_of_number(cell: pl.Expr, unit: str) -> pl.Expr:
    """Turn numbers since 1970, as text with any decimals, into times (ns, UTC); null where they are none."""
    digits = {"s": 9, "ms": 6, "us": 3, "ns": 0}[unit]
    parts = cell.str.strip_chars().str.extract_groups(r"^(?<whole>\d{1,19})(?:\.(?<part>\d+))?$")
    scale = 10**digits
    whole = parts.struct.field("whole").cast(pl.Int64, strict=False)
    within = (whole >= EARLIEST_NS // scale) & (whole < LATEST_NS // scale)
    decimals = _decimals(parts.struct.field("part").fill_null(""), digits) if digits else 0
    return pl.when(within).then(whole * scale + decimals).cast(pl.Datetime("ns", "UTC"))


def _pattern(layout: str) -> str:
    pieces = re.split("(%.)", layout)
    return "".join(DIRECTIVES[piece] if piece in DIRECTIVES else re.escape(piece) for piece in pieces)


def _decimals(digits: pl.Expr, count: int) -> pl.Expr:
    return digits.str.slice(0, count).str.pad_end(count, "0").cast(pl.Int64)


def _day(part: dict[str, pl.Expr]) -> list[pl.Expr]:
    year = part["Y"] if "Y" in part else pl.concat_str(pl.lit("20"), part["y"])
    month = part["m"] if "m" in part else part["b"].str.to_lowercase()
    if "m" not in part:
        numbers = {name: f"{number:02}" for number, name in enumerate(_MONTHS, 1)}
        month = month.replace_strict(numbers, default=None, return_dtype=pl.String)
    return [year, month.str.zfill(2), part["d"].str.zfill(2)]


def _hour(part: dict[str, pl.Expr]) -> pl.Expr:
    if "I" not in part:
        return part.get("H", pl.lit("00"))
    twelve = part["I"].cast(pl.Int64)
    hour = twelve % 12 + 12 * (part["p"].str.to_lowercase() == "pm").cast(pl.Int64)
    return pl.when(twelve.is_between(1, 12)).then(hour).cast(pl.String).str.zfill(2)


def _east(zone: pl.Expr) -> pl.Expr:
    """Seconds that an offset is ahead of UTC."""
    parts = zone.str.extract_groups(r"^(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})$")
    ahead = parts.struct.field("hours").cast(pl.Int64) * 3600 + parts.struct.field("minutes").cast(pl.Int64) * 60
    return pl.when(parts.struct.field("sign") == "-").then(-ahead).otherwise(ahead).fill_null(0)
