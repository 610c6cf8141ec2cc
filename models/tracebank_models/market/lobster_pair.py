"""The two files of a LOBSTER pair: their names, the one found by the other, and their lines side by side.

What a line means is `lobster`'s to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from tracebank_models.market.chunks import Source
from tracebank_models.market.codecs import iter_line_blocks, read_head
from tracebank_models.market.unpacking import beside

ZONE = ZoneInfo("America/New_York")
"""Times are seconds after midnight on the exchange's clock."""

_NAME = re.compile(
    r"(?P<symbol>.+)_(?P<day>\d{4}-\d{2}-\d{2})_(?P<start>\d+)_(?P<end>\d+)_(?P<part>message|orderbook)"
    r"_(?P<levels>\d+)\.csv(?P<packing>\.\w+)?"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both files, and what their names say."""

    message: Path
    orderbook: Path
    symbol: str
    midnight: datetime
    """The start of the day by the exchange's wall clock, in UTC."""
    levels: int
    message_fields: int
    """Fields that the first lines of the message file have, by majority; 0 if there are none."""


def is_orderbook(path: Path) -> bool:
    """Tell by its name whether a file is an order-book file, which is read together with `companion(path)`."""
    return part_of(path) == "orderbook"


def companion(path: Path) -> Path:
    """Find the other file of a pair: the order-book file beside a message file, or the other way round.

    Args:
        path: One file of the pair; the other may be packed differently.

    Raises:
        ValueError: The name is not that of a LOBSTER file.
        FileNotFoundError: The other file is not in the same folder or archive.
    """
    named = _named(path)
    part = "orderbook" if named["part"] == "message" else "message"
    stem = f"{path.name[: named.start('part')]}{part}_{named['levels']}.csv"
    same = path.with_name(stem + (named["packing"] or ""))
    found = [other for other in beside(path) if part_of(other) == part and other.name.startswith(stem)]
    if not found:
        raise FileNotFoundError(f"{path}: the {part} file of the pair is missing: {same}")
    return same if same in found else found[0]


def find_pair(source: Source) -> Pair:
    """Find both files of a message file.

    Raises:
        ValueError: The name is not a message file's, or says another number of levels than the order-book file has.
        FileNotFoundError: There is no order-book file.
    """
    path, named = source.path, _named(source.path)
    if named["part"] != "message":
        raise ValueError(f"{path}: an order-book file is read with its message file: pass {companion(path)}")
    orderbook, levels = companion(path), int(named["levels"])
    fields = usual_fields(read_head(orderbook))
    if levels < 1 or fields not in (0, 4 * levels):
        raise ValueError(
            f"{orderbook}: the name says {levels} levels, but lines have {fields} fields, not {4 * levels}"
        )
    try:
        day = source.day or date.fromisoformat(named["day"])
    except ValueError as error:
        raise ValueError(f"{path}: day {named['day']!r} in the name is not allowed: a date") from error
    # The noon offset makes wall-clock times right on the days the clock changes too, at 2 in the morning.
    noon = datetime.combine(day, time(12), ZONE).astimezone(UTC)
    midnight = noon - timedelta(hours=12)
    return Pair(path, orderbook, source.symbol or named["symbol"], midnight, levels, usual_fields(read_head(path)))


def aligned_lines(pair: Pair, chunk_lines: int) -> Iterator[tuple[int, list[bytes], list[bytes]]]:
    """Yield the number of a line, and as many lines from there of the message file as of the order-book file.

    Args:
        pair: The files.
        chunk_lines: Most lines yielded at once, of each.

    Raises:
        ValueError: One file has more lines than the other (blank lines at its end aside).
    """
    messages, books = iter_line_blocks(pair.message, chunk_lines), iter_line_blocks(pair.orderbook, chunk_lines)
    left: list[bytes] = []
    right: list[bytes] = []
    done = 0
    while (left := left or next(messages, [])) and (right := right or next(books, [])):
        count = min(len(left), len(right))
        yield done + 1, left[:count], right[:count]
        left, right, done = left[count:], right[count:], done + count
    right = right or next(books, [])
    for block in chain([left] if left else [], messages):
        _must_be_blank(block, pair.message, done, pair.orderbook)
        yield done + 1, block, [b""] * len(block)
        done += len(block)
    for block in chain([right] if right else [], books):
        _must_be_blank(block, pair.orderbook, done, pair.message)


def usual_fields(head: list[bytes]) -> int:
    """Count the fields that most lines have, blank ones aside: a single bad line must not decide; 0 without lines."""
    counts = Counter(line.count(b",") + 1 for line in head if line.strip())
    return counts.most_common(1)[0][0] if counts else 0


def _must_be_blank(block: list[bytes], longer: Path, lines: int, shorter: Path) -> None:
    if any(line.strip() for line in block):
        raise ValueError(f"{longer}: it goes on after line {lines}, where {shorter} ends: a pair has as many lines")


def _named(path: Path) -> re.Match[str]:
    named = _NAME.fullmatch(path.name)
    if named is None:
        allowed = "<symbol>_<date>_<start>_<end>_message_<levels>.csv or ..._orderbook_<levels>.csv"
        raise ValueError(f"{path}: name {path.name!r} is not allowed: {allowed}")
    return named


def part_of(path: Path) -> str | None:
    """Tell by its name which part of a pair a file is: "message", "orderbook" or none."""
    named = _NAME.fullmatch(path.name)
    return None if named is None else named["part"]
