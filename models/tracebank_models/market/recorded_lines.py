"""Lines that cryptofeed and tardis.dev wrote, put as our recorder would have: `<local ns> <JSON>`.

Only what stands around a venue's message belongs here. Sources: cryptofeed's raw_data_collection.py (`<s>: <message>`,
`<url> -> <s>: <answer>`, and marks of connections), docs.tardis.dev, "Raw data" (`<ISO time> <message>`, an empty line
for a lost connection, and snapshots of its own, marked as generated).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from tracebank_models.market.codecs import iter_line_blocks

_TARDIS = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,9})Z (?=[{\[])")
_GENERATED = re.compile(rb'\{"stream":"([^"@]+)@depthSnapshot","generated":true,"data":\{')
_CRYPTOFEED = re.compile(rb"(?:(https?://\S+) -> )?(\d{9,10})\.(\d+): (?=[{\[])")
_MARK = re.compile(rb"(configuration: |(wss?|https?)://\S+ (->|<-|<->) )")
_DEPTH_OF = re.compile(rb"/depth\?(?:\S*&)?symbol=([A-Za-z0-9_]+)")
_CONNECTION = b'{"stream":"cryptofeed.connection","data":0}'
_ANSWER = b'{"stream":"cryptofeed.answer","data":0}'


def recorded_blocks(path: Path, lines: int) -> Iterator[list[bytes]]:
    """Yield a file's lines in blocks of at most `lines`, each as our recorder would have written it.

    Args:
        path: The file, packed or plain.
        lines: Most lines per block.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    style: Callable[[bytes], bytes] | None = None
    for number, block in enumerate(iter_line_blocks(path, lines)):
        if not number:
            style = _style(block[:64])
        yield block if style is None else list(map(style, block))


def as_recorded(head: list[bytes]) -> list[bytes]:
    """The first lines of a file, each as our recorder would have written it."""
    style = _style(head)
    return head if style is None else list(map(style, head))


def _style(head: list[bytes]) -> Callable[[bytes], bytes] | None:
    if any(map(_TARDIS.match, head)):
        return _of_tardis
    if any(_CRYPTOFEED.match(line) or _MARK.match(line) for line in head):
        return _of_cryptofeed
    return None


def _of_tardis(line: bytes) -> bytes:
    found = _TARDIS.match(line)
    if found is None:
        return line
    message = line[found.end() :]
    if (made := _GENERATED.match(message)) is not None:
        symbol = b"" if b'"symbol":' in message[:200] else b'"symbol":"%s",' % made[1].upper()
        message = b'{"stream":"%s@depth_snapshot","data":{%s%s' % (made[1], symbol, message[made.end() :])
    return b"%d%s %s" % (_seconds(found[1]), found[2].ljust(9, b"0"), message)


def _of_cryptofeed(line: bytes) -> bytes:
    found = _CRYPTOFEED.match(line)
    if found is None:
        return _CONNECTION if _MARK.match(line) else line
    message = line[found.end() :]
    if found[1]:
        of = _DEPTH_OF.search(found[1])
        if of is None:
            return _ANSWER
        if b'"symbol":' not in message[:200]:
            message = b'{"symbol":"%s",%s' % (of[1].upper(), message[1:])
    return b"%s%s %s" % (found[2], found[3][:9].ljust(9, b"0"), message)


@lru_cache(maxsize=256)
def _seconds(text: bytes) -> int:
    return int(datetime.fromisoformat(text.decode() + "+00:00").timestamp())
