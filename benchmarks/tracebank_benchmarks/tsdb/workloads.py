"""What is asked: every read of the suite, by id, with its parameters, its output columns and how exact they must be.

One declaration per workload, no engine's text: that stands in `queries/<language>.<suffix>`. Semantics that engines
differ in are pinned here once:

* A window is `[start, end)` on `ts`, in UTC. A bucket is named by its start; a bucket without rows has no row.
* "First" and "last" go by `seq`, never by `ts`: time stamps tie.
* Standard deviations are those of a sample (n - 1); of fewer than two values they are null.
* An empty input gives no row, never a zero.
* As-of: the last row at or before the time, `ts <= t`; of rows that tie in `ts`, the one of highest `seq`.
* A return is `ln(x / previous x)` to the previous bucket that has rows; the first bucket's is null.
* Answers are compared as sets of rows sorted by their key columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

Value = datetime | str | int | float | tuple[str, ...] | tuple[float, ...] | tuple[tuple[str, datetime], ...]
"""What a parameter may be: an instant, a name, a number, names, numbers, or (symbol, instant) pairs."""

Parameters = Mapping[str, Value]


class Tolerance(StrEnum):
    """How exact an output column must be."""

    EXACT = "E"
    """Equal: keys, counts, times, raw prices."""
    SUM = "S"
    """Within 1e-9 relative, 1e-12 absolute: sums, means, VWAPs."""
    VARIANCE = "V"
    """Within 1e-7 relative, 1e-12 absolute: standard deviations, correlations, returns of means."""


class Lane(StrEnum):
    """How an engine is set up."""

    PAPER = "paper"
    """The same naive schema everywhere."""
    IDIOMATIC = "idiomatic"
    """As the engine's own documentation would have it."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output column."""

    name: str
    type: str
    """One of timestamp, string, int, float."""
    tolerance: Tolerance = Tolerance.EXACT
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """One question."""

    id: str
    name: str
    source: str
    """Where it comes from: the paper's own label, or the benchmark that has it."""
    question: str
    """What is asked, exactly."""
    parameters: tuple[str, ...]
    key: tuple[str, ...]
    """Output columns that name a row; unique in the answer."""
    outputs: tuple[Output, ...]


def _key(name: str, kind: str = "string") -> Output:
    return Output(name, kind)


def _sum(name: str) -> Output:
    return Output(name, "float", Tolerance.SUM)


def _variance(name: str, *, nullable: bool = False) -> Output:
    return Output(name, "float", Tolerance.VARIANCE, nullable)


def _raw(name: str, *, nullable: bool = False) -> Output:
    return Output(name, "float", Tolerance.EXACT, nullable)


_SYMBOL = _key("symbol")
_MINUTE = _key("minute", "timestamp")
_N = Output("n", "int")
_WINDOW = ("symbols", "start", "end")
_LEVELS = tuple(
    _raw(f"{side}_{what}_{level}") for side in ("bid", "ask") for what in ("price", "qty") for level in range(10)
)

READS: Final[tuple[Workload, ...]] = (
    Workload(
        "R1", "average volume per minute", "paper T-V1",
        "Of trades: sum of qty per symbol and minute, and beside each row the mean of its symbol's sums, over the"
        " minutes of the window that have rows.",
        _WINDOW, ("symbol", "minute"), (_SYMBOL, _MINUTE, _sum("volume"), _sum("mean_volume")),
    ),
    Workload(
        "R2", "VWAP per minute", "paper T-VWAP",
        "Of trades, per symbol and minute: sum(price*qty)/sum(qty), sum of qty, count.",
        _WINDOW, ("symbol", "minute"), (_SYMBOL, _MINUTE, _sum("vwap"), _sum("volume"), _N),
    ),
    Workload(
        "R3", "highest bid in a week", "paper; STAC-M3 WKHIBID",
        "Of the book, per symbol: the highest bid_price_0 in the window.",
        _WINDOW, ("symbol",), (_SYMBOL, _raw("highest_bid")),
    ),
    Workload(
        "R4", "bid/ask spread over a day", "paper O-S",
        "Of the book, per symbol: mean of ask_price_0 - bid_price_0, and 1e4 times the mean of that over the mid"
        " (bid_price_0 + ask_price_0) / 2.",
        _WINDOW, ("symbol",), (_SYMBOL, _sum("spread"), _sum("spread_bps")),
    ),
    Workload(
        "R5", "national best bid and offer", "paper; STAC-M3 NBBO",
        "Of the book of one symbol, for every row by (ts, seq): the highest of every venue's latest bid_price_0 and"
        " the lowest of every venue's latest ask_price_0, rows of the window before it and itself counted; venues not"
        " seen yet take no part.",
        ("symbol", "start", "end"), ("seq",), (Output("seq", "int"), _raw("best_bid"), _raw("best_ask")),
    ),
    Workload(
        "R6", "mid-quote returns, 5 min", "paper",
        "Of the book, per symbol and 5-minute bucket: the last mid by seq, and its return.",
        _WINDOW, ("symbol", "bucket"),
        (_SYMBOL, _key("bucket", "timestamp"), _raw("mid"), _variance("log_return", nullable=True)),
    ),
    Workload(
        "R7", "volatility of execution prices, 5 min", "paper",
        "Of trades, per symbol: standard deviation and number of the returns between the last prices by seq of"
        " 5-minute buckets; a symbol without a return has no row.",
        _WINDOW, ("symbol",), (_SYMBOL, _variance("volatility", nullable=True), _N),
    ),
    Workload(
        "R8", "volatility of mid-quote returns, 5 min", "paper C-VO1",
        "As R7, of the returns of R6.",
        _WINDOW, ("symbol",), (_SYMBOL, _variance("volatility", nullable=True), _N),
    ),
    Workload(
        "R9", "trades above a price", "suite",
        "Trades of one symbol with price above `price`.",
        ("symbol", "start", "end", "price"), ("seq",),
        (Output("seq", "int"), _key("ts", "timestamp"), _raw("price"), _raw("qty")),
    ),
    Workload(
        "R10", "book at a time, full depth", "suite",
        "For every (symbol, time) of `moments`, which are distinct: the as-of row of all the symbol's book rows,"
        " whatever their venue, with its ten levels; no row where there is none.",
        ("moments",), ("symbol", "moment"), (_SYMBOL, _key("moment", "timestamp"), *_LEVELS),
    ),
    Workload(
        "R11", "OHLCV per minute", "suite",
        "Of trades, per symbol and minute: first price by seq, highest, lowest, last by seq, sum of qty, count.",
        _WINDOW, ("symbol", "minute"),
        (_SYMBOL, _MINUTE, _raw("open"), _raw("high"), _raw("low"), _raw("close"), _sum("volume"), _N),
    ),
    Workload(
        "R12", "last trade of every symbol", "TSBS lastpoint",
        "The trade of highest seq of each symbol, of all data.",
        (), ("symbol",), (_SYMBOL, _key("ts", "timestamp"), Output("seq", "int"), _raw("price")),
    ),
    Workload(
        "R13", "latest trade and quote at a time", "STAC-M3 MKTSNAP",
        "For every (symbol, time) of `moments`, which are distinct: price of the as-of trade, and bid_price_0 and"
        " ask_price_0 of the as-of book row, of all the symbol's rows, whatever their venue; null where there is none.",
        ("moments",), ("symbol", "moment"),
        (_SYMBOL, _key("moment", "timestamp"), _raw("price", nullable=True), _raw("bid", nullable=True),
         _raw("ask", nullable=True)),
    ),
    Workload(
        "R14", "trades as of the book", "KX, QuestDB",
        "For every trade of the window: seq, bid_price_0 and ask_price_0 of the as-of book row of its symbol, over"
        " all venues, of book rows of the window only; null where there is none.",
        _WINDOW, ("seq",),
        (Output("seq", "int"), Output("book_seq", "int", nullable=True), _raw("bid", nullable=True),
         _raw("ask", nullable=True)),
    ),
    Workload(
        "R15", "volume-weighted bid", "STAC-M3 VWAB-D",
        "Of the book, per symbol: sum(bid_price_0*bid_qty_0)/sum(bid_qty_0).",
        _WINDOW, ("symbol",), (_SYMBOL, _sum("vwab")),
    ),
    Workload(
        "R16", "statistics per minute of a venue", "STAC-M3 STATS-UI",
        "Of trades of one venue, per symbol and minute: count, mean, standard deviation, lowest and highest price."
        " The window starts at any second; minutes are those of the clock.",
        ("venue", "start", "end"), ("symbol", "minute"),
        (_SYMBOL, _MINUTE, _N, _sum("mean"), _variance("deviation", nullable=True), _raw("low"), _raw("high")),
    ),
    Workload(
        "R17", "time until a multiple has traded", "STAC-M3 THEOPL",
        "For each trade of `seqs` (all are there) and each multiple 2, 4, 20: the time of the first later trade of"
        " its symbol (by seq, any venue) at which the summed qty of the later trades is at least multiple times its"
        " qty, and the VWAP of the later trades up to and with that one; both null where that is not so by a trade"
        " with ts < `end`.",
        ("seqs", "end"), ("seq", "multiple"),
        (Output("seq", "int"), Output("multiple", "int"), Output("reached", "timestamp", nullable=True),
         Output("vwap", "float", Tolerance.SUM, True)),
    ),
    Workload(
        "R18", "volume curve", "STAC-M3 VOLCURV",
        "Of trades of the window: the share of its symbol's volume of the UTC day that each minute of the day has,"
        " averaged over the (symbol, day) pairs that have trades in that minute. `minute_of_day` is 0 to 1439.",
        _WINDOW, ("minute_of_day",), (Output("minute_of_day", "int"), _sum("share")),
    ),
    Workload(
        "R19", "depth imbalance of five levels", "suite",
        "Of the book, per symbol and minute: mean of (B - A) / (B + A), B and A the sums of the first five bid and"
        " ask quantities.",
        _WINDOW, ("symbol", "minute"), (_SYMBOL, _MINUTE, _sum("imbalance")),
    ),
    Workload(
        "R20", "cost of sweeping the asks", "suite",
        "Of the book of one symbol, for every row: mean price of buying `qty` from the best ask up through ten"
        " levels, the last one taken in part; null where the ten levels hold less.",
        ("symbol", "start", "end", "qty"), ("seq",),
        (Output("seq", "int"), Output("mean_price", "float", Tolerance.SUM, True)),
    ),
    Workload(
        "R21", "order-flow imbalance per second", "suite (Cont, Kukanov, Stoikov 2014)",
        "Of the book of one symbol and venue, rows by seq: e = [b >= b'] q_b - [b <= b'] q_b' - [a <= a'] q_a + [a >="
        " a'] q_a', with the best bid b, ask a and their quantities, dashed ones of the row before; the first row of"
        " the window has none. Sum of e per second.",
        ("symbol", "venue", "start", "end"), ("second",), (_key("second", "timestamp"), _sum("flow")),
    ),
    Workload(
        "R22", "realised volatility of a day", "suite",
        "Of trades, per symbol: square root of the sum of squares, standard deviation and number of the returns"
        " between the last prices by seq of minutes; a symbol without a return has no row.",
        ("start", "end"), ("symbol",),
        (_SYMBOL, _variance("realised"), _variance("deviation", nullable=True), _N),
    ),
    Workload(
        "R23", "correlation of one-minute returns", "suite",
        "Of trades, for every pair of symbols a < b: Pearson correlation and number of the one-minute returns (as in"
        " R22) of minutes in which both have one. Pairs have no row that have fewer than two such minutes, or in which"
        " the returns of either are all equal.",
        _WINDOW, ("a", "b"), (_key("a"), _key("b"), _variance("correlation"), _N),
    ),
    Workload(
        "R24", "prints above a size", "TSBS high-cpu",
        "Trades of any symbol with qty above `qty`.",
        ("start", "end", "qty"), ("seq",), (Output("seq", "int"), _SYMBOL, _raw("price"), _raw("qty")),
    ),
    Workload(
        "R25", "mean spread per symbol and hour", "TSBS double-groupby",
        "Of the book, per symbol and hour: mean of ask_price_0 - bid_price_0.",
        ("start", "end"), ("symbol", "hour"), (_SYMBOL, _key("hour", "timestamp"), _sum("spread")),
    ),
    Workload(
        "R26", "last five minute highs before a time", "TSBS groupby-orderby-limit",
        "Of trades with ts < `end`, of all symbols together: the highest price of each of the last five minutes that"
        " have such trades.",
        ("end",), ("minute",), (_MINUTE, _raw("high")),
    ),
    Workload(
        "R27", "full scan: largest trades", "ClickBench",
        "Of all trades, per symbol and venue: count, number of distinct prices, and the highest notional price*qty.",
        (), ("symbol", "venue"), (_SYMBOL, _key("venue"), _N, Output("prices", "int"), _sum("highest_notional")),
    ),
    Workload(
        "R28", "runs of equal price", "KX",
        "Of trades of one symbol and venue by seq: every run of equal prices, as long as it goes, of at least"
        " `length` trades: the seq that it starts with, its price and its number of trades.",
        ("symbol", "venue", "start", "end", "length"), ("seq",), (Output("seq", "int"), _raw("price"), _N),
    ),
)  # fmt: skip
"""Every read, in the order of the suite."""

BY_ID: Final[dict[str, Workload]] = {workload.id: workload for workload in READS}
