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
        bid, ask = ticks.bid_price[row], ticks.ask_price[row]
        is_last = row + 1 == len(ticks) or ticks.segment[row + 1] != ticks.segment[row]
        decides = not is_last and since % s.horizon == 0
        for turn in ("under way", "segment end", "decision", "no delay"):
            close, whole, maker = None, False, False
            if turn == "decision" and decides and order is None:
                seen = [float(signals[row, at]) for at in s.signals or range(signals.shape[1])]
                mean, up, down = sum(seen) / len(seen), min(seen) > 0, max(seen) < 0
                if any(one != one for one in seen):
                    up = down = False
                if held is None and (up or down) and abs(mean) >= s.threshold:
                    want = s.quantity
                    if s.sizing == "table":
                        want = next(size for bound, size in s.sizes if abs(mean) > bound)
                    order = {"side": 1 if up else -1, "qty": min(want, s.position_limit)}
                elif held and (s.rule == "one_run" or held["leaving"] or (down if held["side"] > 0 else up)):
                    order, held["leaving"] = {"side": -held["side"], "qty": held["qty"]}, True
                if order:
                    order |= {"row": row, "price": bid[0] if order["side"] > 0 else ask[0], "rests_until": None}
            elif turn == "segment end" and is_last:
                order = None
                if held:
                    order, close, whole = {"side": -held["side"], "qty": held["qty"], "row": row}, "segment_end", True
            elif order and (turn == "under way" or (turn == "no delay" and s.delay == 0 and order["row"] == row)):
                rests = s.orders == "limit" or (s.orders == "limit_entry" and held is None)
                waited = row - order["row"] if s.delay_unit == "ticks" else ticks.times[row] - ticks.times[order["row"]]
                crosses = ask[0] <= order["price"] if order["side"] > 0 else bid[0] >= order["price"]
                if order["rests_until"] is None:
                    if waited < (s.delay if s.delay_unit == "ticks" else round(s.delay * 1e6)):
                        continue
                    if rests and not crosses:
                        order["rests_until"] = row + s.patience
                        continue
                else:
                    offered = (ticks.ask_qty if order["side"] > 0 else ticks.bid_qty)[row, 0]
                    maker = crosses and offered >= order["qty"]
                    if not maker and row < order["rests_until"]:
                        continue
                close = s.rule
                if held is None and ((rests and not maker) or is_last):
                    order = None
            if close is None or order is None:
                continue
            price, qty = (order["price"], order["qty"]) if maker else taken(ticks, row, order, s.fill, whole)
            if held is None:
                held = {"side": order["side"], "qty": qty, "price": price, "maker": maker, "leaving": False}
                held["rows"] = (order["row"], row)
            else:
                held["qty"] -= qty
                gain = held["side"] * qty * (price - held["price"])
                earned += gain - qty * (held["price"] * fees[held["maker"]] + price * fees[maker])
                ends, makers = (held["price"], price), (held["maker"], maker)
                lots.append((held["side"], qty, held["qty"], *held["rows"], order["row"], row, *ends, *makers, close))
            order, held = None, held if held["qty"] else None
        now = held or {"side": 0, "qty": 0.0, "price": 0.0, "maker": False}
        if decides or (lots and lots[-1][6] == row) or (held and held["rows"][1] == row):
            open_gain = now["side"] * ((bid[0] + ask[0]) / 2 - now["price"]) - fees[now["maker"]] * now["price"]
            equity.append((row, s.start_notional + earned + now["qty"] * open_gain, now["side"] * now["qty"]))
        since = 0 if is_last else since + 1
    return lots, equity


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
