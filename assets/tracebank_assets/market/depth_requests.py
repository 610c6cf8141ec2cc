"""Asking a venue for the depth of a book over REST: what differences stand on, and whether a symbol is known there."""

from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import msgspec

from tracebank_models.market.binance_messages import DepthSnapshot, decoders
from tracebank_models.market.binance_streams import StreamVenue

FEWEST_LEVELS: Final = 5
_SECONDS: Final = 5.0
_UNKNOWN_SYMBOL: Final = b"-1121"
_shape = decoders([DepthSnapshot])[DepthSnapshot]


class RecordingError(RuntimeError):
    """What is to be recorded cannot be had: one line that says from where, and why."""


def depth_snapshot(venue: StreamVenue, symbol: str, levels: int) -> bytes:
    """Return a book as the venue sends it.

    Args:
        venue: Where it is asked for.
        symbol: As the venue writes it.
        levels: Of a side.

    Raises:
        ValueError: The venue does not know the symbol.
        RecordingError: There is no answer, or it is no book.
    """
    address = f"{venue.depth_address}?symbol={quote(symbol)}&limit={levels}"
    try:
        with urlopen(address, timeout=_SECONDS) as answer:
            body: bytes = answer.read()
        _shape.decode(body)
    except HTTPError as error:
        said = error.read(300)
        if _UNKNOWN_SYMBOL in said:
            raise ValueError(f"symbol: {symbol!r} is not known to {venue.name}") from None
        raise RecordingError(f"{address} answered {error.code}: {said.decode('utf-8', 'replace')}") from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise RecordingError(f"{address} cannot be reached: {reason}; is there a network?") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{address} answered {body[:80]!r}, which is no book: {error}") from None
    return body
