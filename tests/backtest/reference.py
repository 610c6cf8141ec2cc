"""A strategy in a plain loop, to hold engines against; and made-up books."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracebank_models.backtest.settings import StrategySettings
from tracebank_models.order_book_features.ticks import Ticks

Signals = NDArray[np.float32]


def reference(ticks: Ticks, signals: Signals, s: StrategySettings) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """Lots as (side, qty, left, rows decided, opened, close decided, closed, prices, makers, reason), and equity."""
    lots, equity, order, held, earned, since = list[Any](), list[Any](), None, None, 0.0, 0
    fees = {False: s.taker_fee, True: s.maker_fee}
    for row in range(len(ticks)):
        is_last = row + 1 == len(ticks) or ticks.segment[row + 1] != ticks.segment[row]
        decides = not is_last and since % s.horizon == 0
        for turn in ("under way", "segment end", "decision"):
            reason = s.rule
            if turn == "segment end" and is_last:
                order = {"side": -held["side"], "qty": held["qty"], "row": row} if held else None
                how, reason = "takes", "segment_end"
            elif turn == "decision" and decides and order is None:
                order = decided(ticks, row, signals[row], held, s)
                how = met(ticks, row, order, held, s) if order and s.delay == 0 else "waits"
            else:
                how = met(ticks, row, order, held, s) if order and turn == "under way" else "waits"
            if order is None or how == "waits":
                continue
            if how == "lapses" or (held is None and is_last):
                order = None
                continue
            maker, whole = how == "makes", reason == "segment_end"
            price, qty = (order["price"], order["qty"]) if maker else taken(ticks, row, order, s.fill, whole)
            if held is None:
                held = {"side": order["side"], "qty": qty, "price": price, "maker": maker, "leaving": False}
                held["rows"] = (order["row"], row)
            else:
                held["qty"] -= qty
                gain = held["side"] * qty * (price - held["price"])
                earned += gain - qty * (held["price"] * fees[held["maker"]] + price * fees[maker])
                ends, makers = (held["price"], price), (held["maker"], maker)
                lots.append((held["side"], qty, held["qty"], *held["rows"], order["row"], row, *ends, *makers, reason))
            order, held = None, held if held["qty"] else None
        now = held or {"side": 0, "qty": 0.0, "price": 0.0, "maker": False}
        if decides or (lots and lots[-1][6] == row) or (held and held["rows"][1] == row):
            middle = (ticks.bid_price[row, 0] + ticks.ask_price[row, 0]) / 2
            open_gain = now["side"] * (middle - now["price"]) - fees[now["maker"]] * now["price"]
            equity.append((row, s.start_notional + earned + now["qty"] * open_gain, now["side"] * now["qty"]))
        since = 0 if is_last else since + 1
    return lots, equity


def decided(ticks: Ticks, row: int, signals: Signals, held: dict[str, Any] | None, s: StrategySettings) -> Any:
    """The order that signals ask for, if they do."""
    seen = [float(signals[at]) for at in s.signals or range(len(signals))]
    up, down = all(one > 0 for one in seen), all(one < 0 for one in seen)
    size = abs(sum(seen) / len(seen))
    if held is None:
        if not (up or down) or size < s.threshold:
            return None
        want = s.quantity if s.sizing == "fixed" else next(qty for bound, qty in s.sizes if size > bound)
        side, want = 1 if up else -1, min(want, s.position_limit)
    else:
        held["leaving"] |= s.rule == "one_run" or (down if held["side"] > 0 else up)
        if not held["leaving"]:
            return None
        side, want = -held["side"], held["qty"]
    price = (ticks.bid_price if side > 0 else ticks.ask_price)[row, 0]
    return {"side": side, "qty": want, "row": row, "price": price, "rests_until": None}


def met(ticks: Ticks, row: int, order: dict[str, Any], held: dict[str, Any] | None, s: StrategySettings) -> str:
    """What becomes of an order on a row: it takes, makes, waits or lapses."""
    prices, offered = (ticks.ask_price, ticks.ask_qty) if order["side"] > 0 else (ticks.bid_price, ticks.bid_qty)
    crosses = (prices[row, 0] - order["price"]) * order["side"] <= 0
    rests = s.orders == "limit" or (s.orders == "limit_entry" and held is None)
    if order["rests_until"] is not None:
        if crosses and offered[row, 0] >= order["qty"]:
            return "makes"
        late = "takes" if held else "lapses"
        return late if row >= order["rests_until"] else "waits"
    waited = row - order["row"] if s.delay_unit == "ticks" else (ticks.times[row] - ticks.times[order["row"]]) / 1e6
    if waited < s.delay:
        return "waits"
    if rests and not crosses:
        order["rests_until"] = row + s.patience
        return "waits"
    return "lapses" if rests and held is None else "takes"


def taken(ticks: Ticks, row: int, order: dict[str, Any], fill: str, whole: bool) -> tuple[float, float]:
    """Price and quantity of what takes."""
    names = ("ask_price", "ask_qty") if order["side"] > 0 else ("bid_price", "bid_qty")
    prices, held = (getattr(ticks, name)[row] for name in names)
    bid, ask, bids, asks = (
        ticks.bid_price[row, 0],
        ticks.ask_price[row, 0],
        ticks.bid_qty[row, 0],
        ticks.ask_qty[row, 0],
    )
    if fill != "walk":
        middle = {"mid": (bid + ask) / 2, "weighted_mid": (bid * bids + ask * asks) / (bids + asks)}
        return middle.get(fill, prices[0]), order["qty"]
    left, paid = order["qty"], 0.0
    for price, some in zip(prices, held, strict=True):
        paid += min(left, some) * price
        left -= min(left, some)
    if whole:
        paid, left = paid + left * prices[-1], 0.0
    return paid / (order["qty"] - left), order["qty"] - left


def random_ticks(random: np.random.Generator, rows: int, levels: int = 3, segments: int = 1) -> Ticks:
    """A book whose mid walks, with gaps between segments, ties in time, and quantities near those that are traded."""
    middle = 30_000 + np.cumsum(random.integers(-3, 4, rows))
    bid = (middle - random.integers(1, 3, rows))[:, None] - np.arange(levels)
    ask = (middle + random.integers(0, 3, rows))[:, None] + np.arange(levels)
    bids, asks = (random.integers(1, 20, (rows, levels)) / 100 for _ in range(2))
    times = np.cumsum(random.integers(0, 150, rows)) * 1_000_000
    segment = np.sort(random.integers(0, segments, rows)).astype(np.int32)
    return Ticks("made_up", "BTCUSDT", times, "local", bid / 10, bids, ask / 10, asks, segment)


def random_signals(random: np.random.Generator, rows: int, columns: int) -> Signals:
    """Signals that mostly agree, and are at times NaN or 0."""
    common, own = random.normal(0, 0.15, (rows, 1)), random.normal(0, 0.03, (rows, columns))
    signals = (common + own).astype(np.float32)
    signals[random.random((rows, columns)) < 0.02] = np.nan
    signals[random.random((rows, columns)) < 0.01] = 0
    return signals
