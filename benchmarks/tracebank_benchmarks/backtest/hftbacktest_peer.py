"""hftbacktest, driven by the strategy that is closed at the next decision point.

Its exchange without partial fills is taken: the one with them books no partial fill to position and balance (its issues
316, 312, 301 and 299). That one fills an order that takes whole at the best price, so that what is compared are
quantities of at most the best queue, filled at the touch. A level that leaves is told before those that come.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracebank_models.backtest.decision_points import Signals, decision_points, views
from tracebank_models.backtest.settings import StrategySettings
from tracebank_models.order_book_features.ticks import Ticks

from .made_up import ROW_NS, TICK_SIZE

_FEED_NS, _RESPONSE_NS = 10_000_000, 1_000_000
NAME = "hftbacktest"


@dataclass(frozen=True, slots=True)
class PeerFills:
    """What the peer did."""

    prices: NDArray[np.float64]
    """Of fills, in order."""
    times: NDArray[np.int64]
    """At the exchange, ns."""
    balance: float
    """Quote currency, without fees."""
    fee: float


def events_of(ticks: Ticks) -> NDArray[np.void]:
    """Changes of levels from row to row, known locally at the ticks' times."""
    peer: Any = importlib.import_module("hftbacktest")
    sides = [(ticks.bid_price, ticks.bid_qty, peer.BUY_EVENT), (ticks.ask_price, ticks.ask_qty, peer.SELL_EVENT)]
    rows = list[NDArray[np.int64]]()
    parts, order = list[NDArray[np.void]](), list[NDArray[np.int64]]()
    for price, qty, side in sides:
        key = np.rint(price / TICK_SIZE).astype(np.int64)
        gone = np.ones(key.shape, np.bool_)
        gone[-1] = False
        gone[:-1] = ~(key[:-1, :, None] == key[1:, None, :]).any(axis=2)
        for chosen, later, amounts in ((gone, 1, np.zeros_like(qty)), (np.ones_like(gone), 0, qty)):
            at, level = np.nonzero(chosen)
            made = np.zeros(len(at), peer.types.event_dtype)
            made["ev"] = peer.DEPTH_EVENT | peer.EXCH_EVENT | peer.LOCAL_EVENT | side
            made["px"], made["qty"] = price[at, level], amounts[at, level]
            rows.append(at + later)
            order.append(2 * (at + later) + (1 - later))
            parts.append(made)
    joined, row = np.concatenate(parts), np.concatenate(rows)
    joined["local_ts"] = ticks.times[row]
    joined["exch_ts"] = ticks.times[row] - _FEED_NS
    return joined[np.argsort(np.concatenate(order), kind="stable")]


def peer_fills(ticks: Ticks, events: NDArray[np.void], signals: Signals, settings: StrategySettings) -> PeerFills:
    """Trade by `one_run` at the touch; an order reaches the exchange while the row that we fill it on stands there.

    Orders that open may rest (`limit_entry`), if they are given up before the next decision. What cancels one arrives
    after the last row on which it may be filled.
    """
    peer: Any = importlib.import_module("hftbacktest")
    points = decision_points(ticks, settings)
    seen = views(signals, points.rows, settings)
    side = np.where(np.abs(seen.mean) >= settings.threshold, seen.side, 0).astype(np.int64)
    entry = int(settings.delay) * ROW_NS - _FEED_NS + ROW_NS // 2
    asset = peer.BacktestAsset().data(events).linear_asset(1.0).constant_order_latency(entry, _RESPONSE_NS)
    asset = asset.risk_adverse_queue_model().no_partial_fill_exchange()
    asset = asset.trading_value_fee_model(settings.maker_fee, settings.taker_fee)
    account = peer.HashMapMarketDepthBacktest([asset.tick_size(TICK_SIZE).lot_size(0.01).last_trades_capacity(0)])
    prices, times = np.empty(2 * len(side)), np.empty(2 * len(side), np.int64)
    patience = settings.patience * ROW_NS if settings.orders == "limit_entry" else 0
    count = _strategy()(account, ticks.times[points.rows], side, settings.quantity, patience, prices, times)
    state = account.state_values(0)
    balance, fee = float(state.balance), float(state.fee)
    account.close()
    return PeerFills(prices[:count], times[:count], balance, fee)


_COMPILED = list[Any]()


def _strategy() -> Any:
    """The compiled strategy; the peer is imported for it alone."""
    if _COMPILED:
        return _COMPILED[0]
    from numba import njit

    peer: Any = importlib.import_module("hftbacktest")
    filled, good, post_only, limit = peer.FILLED, peer.GTC, peer.GTX, peer.LIMIT

    @njit
    def trade(account, moments, side, qty, patience, prices, times):  # type: ignore[no-untyped-def]
        count = 0
        account.elapse(1)  # to the first event: before that it knows no time
        for point in range(len(moments)):
            wait = moments[point] - account.current_timestamp
            if wait > 0 and account.elapse(wait) != 0:
                break
            count = note(account, count, prices, times)
            position = account.position(0)
            if abs(position) > 1e-9:
                send(account, point, -1 if position > 0 else 1, qty)
            elif side[point] != 0 and patience == 0:
                send(account, point, side[point], qty)
            elif side[point] != 0:
                rest(account, point, side[point], qty, patience)
        return note(account, count, prices, times)

    @njit
    def note(account, count, prices, times):  # type: ignore[no-untyped-def]
        orders = account.orders(0).values()
        while orders.has_next():
            order = orders.get()
            if order.status == filled:
                prices[count], times[count] = order.exec_price, order.exch_timestamp
                count += 1
        account.clear_inactive_orders(0)
        return count

    @njit
    def send(account, number, side, qty):  # type: ignore[no-untyped-def]
        depth = account.depth(0)
        if side > 0:
            account.submit_buy_order(0, number, depth.best_ask + 100, qty, good, limit, False)
        else:
            account.submit_sell_order(0, number, depth.best_bid - 100, qty, good, limit, False)

    @njit
    def rest(account, number, side, qty, patience):  # type: ignore[no-untyped-def]
        depth = account.depth(0)
        if side > 0:
            account.submit_buy_order(0, number, depth.best_bid, qty, post_only, limit, False)
        else:
            account.submit_sell_order(0, number, depth.best_ask, qty, post_only, limit, False)
        account.elapse(patience)
        orders = account.orders(0).values()
        while orders.has_next():
            if orders.get().cancellable:
                account.cancel(0, number, False)

    _COMPILED.append(trade)
    return trade
