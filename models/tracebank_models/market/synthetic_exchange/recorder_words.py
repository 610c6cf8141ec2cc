"""The fixed text of recorder lines, numbered, in the USD-M futures form; and the grids that numbers are written on."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .configuration import SyntheticMarket
from .instrument import Instrument

Bytes: TypeAlias = NDArray[np.uint8]

_FIXED = (
    *("trade_open", "quote_open", "depth10_open", "depth_open", "rest_open", "quote_event", "trade_symbol"),
    *("depth_symbol", "stray"),
)
_TEXTS = {
    "t": ',"T":', "price": ',"p":"', "qty": '","q":"', "market": '","X":"MARKET","m":', "true": "true}}\n",
    "false": "false}}\n", "bid": ',"b":"', "bid_qty": '","B":"', "ask": '","a":"', "ask_qty": '","A":"',
    "quote_t": '","T":', "e": ',"E":', "end": "}}\n", "last_id": ',"u":', "before_id": ',"pu":', "bids": ',"b":[',
    "asks": '],"a":[', "depth_end": "]}}\n", "rest_bids": ',"bids":[', "rest_asks": '],"asks":[', "rest_end": "]}\n",
    "level": '["', "next_level": '"],["', "between": '","', "zero": '","0', "last_level": '"]',
}  # fmt: skip
(
    TRADE_OPEN, QUOTE_OPEN, DEPTH10_OPEN, DEPTH_OPEN, REST_OPEN, QUOTE_EVENT, TRADE_SYMBOL, DEPTH_SYMBOL, STRAY,
    T, PRICE, QTY, MARKET, TRUE, FALSE, BID, BID_QTY, ASK, ASK_QTY, QUOTE_T, E, END, LAST_ID, BEFORE_ID, BIDS, ASKS,
    DEPTH_END, REST_BIDS, REST_ASKS, REST_END, LEVEL, NEXT_LEVEL, BETWEEN, ZERO, LAST_LEVEL,
) = range(len(_FIXED) + len(_TEXTS))  # fmt: skip


class Words(NamedTuple):
    """The fixed parts of the lines of one symbol, and the grids that numbers are written on."""

    text: Bytes
    """(part, byte), padded; parts are numbered by the constants of this module."""
    length: NDArray[np.int64]
    grid: NDArray[np.int64]
    """(whole number, price or quantity; units per step or decimals)."""
    day_ms: int


def words(market: SyntheticMarket, instrument: Instrument) -> Words:
    """The fixed parts of the lines of one symbol."""
    stream, every = instrument.symbol.lower(), f"{market.snapshot_interval_ms}ms"

    def opening(name: str, event: str) -> str:
        return f' {{"stream":"{stream}@{name}","data":{{{event}'

    event = '"e":"depthUpdate","E":'
    fixed = [opening("trade", '"e":"trade","E":'), opening("bookTicker", '"u":')]
    fixed += [opening(f"depth10@{every}", event), opening(f"depth@{every}", event), ' {"lastUpdateId":']
    symbol = f',"s":"{instrument.symbol}"'
    fixed += [f',"e":"bookTicker"{symbol}', f'{symbol},"t":', f'{symbol},"U":']
    parts = [text.encode("ascii") for text in fixed] + [b"\xff\xfe\x00feed reset\x80\n"]
    parts += [text.encode("ascii") for text in _TEXTS.values()]
    text = np.zeros((len(parts), max(len(part) for part in parts)), np.uint8)
    for index, part in enumerate(parts):
        text[index, : len(part)] = list(part)
    prices = (instrument.tick_units, instrument.price_decimals)
    grid = np.array([(1, 0), prices, (instrument.lot_units, instrument.qty_decimals)], np.int64)
    midnight = datetime.combine(market.day, time(), UTC)
    return Words(text, np.array([len(part) for part in parts], np.int64), grid, int(midnight.timestamp()) * 1_000)
