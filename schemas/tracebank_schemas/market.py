"""Series tables of market data: trades, quotes, ten-level books, bars, and what venues say of derivatives."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

BOOK_DEPTH: Final = 10
"""Levels per side in `book`."""

_PARTITION: Final = (Day("ts"), "symbol")
_SORT: Final = ("venue", "symbol", "ts", "seq")
# Chosen by measuring recorded files; the figures and how to measure again are in docs/stores.md.
_TIME_CODEC: Final = "GCD, Delta, ZSTD"
_LOCAL_TIME_CODEC: Final = "Delta, T64, ZSTD"
_TRADE_SEQ_CODEC: Final = "DoubleDelta, ZSTD"
_UPDATE_SEQ_CODEC: Final = "Delta, T64, ZSTD"
_PRICE_CODEC: Final = "Delta, ZSTD"
_QTY_CODEC: Final = "ZSTD(3)"


def _key(seq: str, seq_codec: str = _UPDATE_SEQ_CODEC) -> tuple[Column, ...]:
    return (
        Column(
            "ts", TIMESTAMP, "the exchange's time, or the local one where `clock` says so", "UTC", codec=_TIME_CODEC
        ),
        Column("local_ts", TIMESTAMP, "when the recorder received it", "UTC", nullable=True, codec=_LOCAL_TIME_CODEC),
        Column("clock", pa.string(), "which clock `ts` was read from: exchange or local", repeated=True),
        Column("venue", pa.string(), "where it was traded, e.g. binance_spot", repeated=True),
        Column("symbol", pa.string(), "the venue's name of the instrument", repeated=True),
        Column("seq", pa.int64(), seq, codec=seq_codec),
    )


def _value(name: str, doc: str, unit: str, *, nullable: bool = False) -> Column:
    codec = _QTY_CODEC if unit.startswith("qty") else _PRICE_CODEC
    return Column(name, pa.float64(), doc, unit, nullable=nullable, codec=codec)


TRADES: Final = SeriesTable(
    name="trades",
    doc="Executions, one row each.",
    columns=(
        *_key("the venue's trade id", _TRADE_SEQ_CODEC),
        _value("price", "price of the execution", "price_unit of the instrument"),
        _value("qty", "quantity executed", "qty_unit of the instrument"),
        Column("side", pa.string(), "the aggressor's side: buy, sell or unknown", repeated=True),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "seq"),
)

QUOTES: Final = SeriesTable(
    name="quotes",
    doc="Best bid and ask, one row per change.",
    columns=(
        *_key("the venue's update id"),
        _value("bid_price", "best bid; null where the side is empty", "price_unit of the instrument", nullable=True),
        _value(
            "bid_qty",
            "quantity resting at the best bid; null where the side is empty",
            "qty_unit of the instrument",
            nullable=True,
        ),
        _value("ask_price", "best ask; null where the side is empty", "price_unit of the instrument", nullable=True),
        _value(
            "ask_qty",
            "quantity resting at the best ask; null where the side is empty",
            "qty_unit of the instrument",
            nullable=True,
        ),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "seq"),
)

BOOK: Final = SeriesTable(
    name="book",
    doc="Order book, ten levels a side, one row per update; a level that is not known is null.",
    columns=(
        *_key("the venue's last update id in the row"),
        Column(
            "state",
            pa.string(),
            "whole, partial (no snapshot yet, or a best price beyond it) or stale (after a gap)",
            repeated=True,
        ),
        *(
            _value(
                f"{side}_{what}_{level}", f"{side} {what}, level {level} from the best", f"{what}_unit", nullable=True
            )
            for side in ("bid", "ask")
            for what in ("price", "qty")
            for level in range(BOOK_DEPTH)
        ),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "seq"),
)

BARS: Final = SeriesTable(
    name="bars",
    doc="Bars: those that a file holds, and one-minute bars of trades with the mean spread of that minute's quotes; "
    "minutes without trades have none.",
    columns=(
        Column("ts", TIMESTAMP, "start of the bar", "UTC", codec=_TIME_CODEC),
        Column("venue", pa.string(), "as in trades", repeated=True),
        Column("symbol", pa.string(), "as in trades", repeated=True),
        _value("open", "first price", "price_unit"),
        _value("high", "highest price", "price_unit"),
        _value("low", "lowest price", "price_unit"),
        _value("close", "last price", "price_unit"),
        _value("volume", "sum of quantities", "qty_unit", nullable=True),
        _value("vwap", "volume-weighted average price", "price_unit", nullable=True),
        Column("trades", pa.int64(), "number of executions", nullable=True, codec="T64, ZSTD"),
        _value("mean_spread", "mean of ask minus bid over the bar's quotes", "price_unit", nullable=True),
        Column("interval_s", pa.int64(), "length of the bar", "s", codec="T64, ZSTD", before=60),
    ),
    sort_key=("venue", "symbol", "ts"),
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "ts", "interval_s"),
)

DERIVATIVE_TICKERS: Final = SeriesTable(
    name="derivative_tickers",
    doc="What a venue says of a derivative beside its trades and book; null is what a row does not say.",
    columns=(
        *_key("the line of the file, or the row's time in ms where that names it"),
        Column("event", pa.string(), "funding (paid at ts), metrics (statistics) or ticker (a change)", repeated=True),
        _value("funding_rate", "rate of the funding interval; longs pay it where it is positive", "1", nullable=True),
        _value("predicted_funding_rate", "estimate of the next interval's rate", "1", nullable=True),
        Column("funding_ts", TIMESTAMP, "when funding is next paid", "UTC", nullable=True, codec=_TIME_CODEC),
        _value("funding_interval_h", "time between payments", "h", nullable=True),
        _value("mark_price", "price that margins are reckoned at", "price_unit", nullable=True),
        _value("index_price", "price of the underlying", "price_unit", nullable=True),
        _value("last_price", "price of the last trade", "price_unit", nullable=True),
        _value("open_interest", "open positions", "qty_unit, or as the venue has it", nullable=True),
        _value("open_interest_value", "open positions at their price", "price_unit times qty_unit", nullable=True),
        _value("long_short_accounts", "accounts net long over net short", "1", nullable=True),
        _value("long_short_top_accounts", "the same of the largest accounts", "1", nullable=True),
        _value("long_short_top_positions", "long over short positions of the largest accounts", "1", nullable=True),
        _value("taker_buy_sell", "bought over sold by aggressors in the interval", "1", nullable=True),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "event", "seq"),
)

LIQUIDATIONS: Final = SeriesTable(
    name="liquidations",
    doc="Positions that a venue closed by force, one row an order.",
    columns=(
        *_key("the venue's id, or the line of the file where there is none"),
        _value("price", "price of the order", "price_unit"),
        _value("average_price", "mean price at which it was filled", "price_unit", nullable=True),
        _value("qty", "quantity closed", "qty_unit"),
        Column("side", pa.string(), "of the closing order: sell ends a long position, buy a short one", repeated=True),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
)

DEPTH_BANDS: Final = SeriesTable(
    name="depth_bands",
    doc="What rests in the book within a distance of the mid price, one row a band.",
    columns=(
        *_key("the row's time in ms"),
        _value("percent", "distance from the mid price; below zero for bids, above for asks", "%"),
        _value("depth", "quantity from the mid price to there", "qty_unit"),
        _value("notional", "its value", "price_unit times qty_unit"),
    ),
    sort_key=_SORT,
    partition_by=_PARTITION,
    unique_key=("venue", "symbol", "ts", "percent"),
)
