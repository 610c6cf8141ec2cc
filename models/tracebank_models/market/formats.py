"""Which reader reads which file: the registry of formats, and the telling of a file's format by its content.

What a format looks like is its own module's to say (`matches`) and to decode (`read`); here they are only found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from tracebank_models.market import mapped
from tracebank_models.market.chunks import DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.mapping import parsed

FORMATS = (
    "dbn",
    "venue_messages",
    "recorder",
    "tardis",
    "lobster",
    "binance_vision",
    "binance_klines",
    "binance_statistics",
    "trade_dumps",
    "columns",
    "mapped",
)
"""Every format, in the order in which a file is tried against them; each is a module of this package."""

_SEGMENT = re.compile(r"(venue|symbol|day)=(.+)")


class UnknownFormatError(ValueError):
    """A file looks like none of the formats."""


class Reader(Protocol):
    """What a format's module offers."""

    def matches(self, head: list[bytes], path: Path) -> bool:
        """Tell from a file's first lines, and at most its name, whether it is of this format."""

    def read(self, source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
        """Yield what a file holds, in chunks of at most about `chunk_lines` lines."""


def reader(name: str) -> Reader:
    """Return the reader of a format.

    Args:
        name: One of `FORMATS`.

    Raises:
        UnknownFormatError: There is no such format.
    """
    if name not in FORMATS:
        raise UnknownFormatError(f"format: {name!r} is not known: one of {', '.join(FORMATS)}")
    return cast(Reader, import_module(f"tracebank_models.market.{name}"))


def sniff_format(path: Path) -> str:
    """Tell the format of a file by its content.

    Args:
        path: The file, packed or plain.

    Returns:
        One of `FORMATS`.

    Raises:
        UnknownFormatError: The file is empty or looks like none of them.
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    head = read_head(path)
    if not head:
        raise UnknownFormatError(
            f"{path}: the file is empty, so its format cannot be told: one of {', '.join(FORMATS)}"
        )
    for name in FORMATS:
        if reader(name).matches(head, path):
            return name
    first = head[0][:80].decode("utf-8", "replace")
    raise UnknownFormatError(f"{path}: first line {first!r} is of no known format: one of {', '.join(FORMATS)}")


def source_of(path: Path, mapping: str | None = None) -> Source:
    """Describe a file by its content, and by what its folders say about it (`venue=…/symbol=…/day=YYYY-MM-DD`).

    Args:
        path: The file.
        mapping: Text of the mapping by which it is read, whatever else it looks like.

    Raises:
        UnknownFormatError: The file looks like none of the formats.
        MappingError: The mapping does not fit the file.
        ValueError: A `day=` folder is not a date.
    """
    said = {match[1]: match[2] for part in path.parent.parts if (match := _SEGMENT.fullmatch(part))}
    try:
        day = date.fromisoformat(said["day"]) if "day" in said else None
    except ValueError as error:
        raise ValueError(f"{path}: folder day={said['day']} is not allowed: day=YYYY-MM-DD") from error
    if mapping is not None:
        mapped.check_fit(parsed(mapping), path)
    name = "mapped" if mapping is not None else sniff_format(path)
    if name == "mapped" and mapping is None:
        mapping = mapped.mapping_of(read_head(path), path)
    return Source(path, name, said.get("venue"), said.get("symbol"), day, mapping)
