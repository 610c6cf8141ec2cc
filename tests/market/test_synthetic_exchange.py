"""The synthetic exchange: same bytes and rows, stated defects and signal, and a market that looks like one."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tracebank_models.market.chunks import BOOK, QUOTES, TRADES
from tracebank_models.market.synthetic_exchange import (
    FeedDefects,
    FileManifest,
    Instrument,
    OrderFlow,
    SyntheticMarket,
    day_path,
    simulate,
    simulate_chunks,
    write_day,
)

ONE = SyntheticMarket(symbols=(Instrument("SYNBTC"),), venues=("synthetic_a",), duration_s=120)
ALL_STREAMS = ("trade", "bookTicker", "depth10", "depth")
DEFECTS = FeedDefects(ties=0.3, gaps=0.002, gap_lines=3, duplicates=0.01, late=0.02, late_ms=300, unreadable=0.005)


def lines_of(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(raw).split(b"\n")[:-1]
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)) as reader:
        return reader.read().split(b"\n")[:-1]


def parse(line: bytes) -> tuple[int, dict[str, Any]] | None:
    """A line as its receive time and message, or None if it cannot be read."""
    try:
        local, text = line.split(b" ", 1)
        return int(local), json.loads(text)
    except ValueError:
        return None


def by_stream(lines: list[bytes]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for local, message in filter(None, map(parse, lines)):
        stream = message["stream"].split("@")[1] if "stream" in message else "rest"
        found.setdefault(stream, []).append((local, message.get("data", message)))
    return found


def ns(column: pl.Series) -> list[int]:
    return column.cast(pl.Int64).to_list()


# --- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (lambda: SyntheticMarket(duration_s=0), "SyntheticMarket.duration_s", "0"),
        (lambda: SyntheticMarket(seed=-1), "SyntheticMarket.seed", "-1"),
        (lambda: SyntheticMarket(venues=("a/b",)), "SyntheticMarket.venues", "a/b"),
        (lambda: SyntheticMarket(venues=()), "SyntheticMarket.venues", "()"),
        (lambda: SyntheticMarket(symbols=()), "SyntheticMarket.symbols", "()"),
        (lambda: SyntheticMarket(streams=("trades",)), "SyntheticMarket.streams", "trades"),
        (lambda: SyntheticMarket(snapshot_interval_ms=300), "SyntheticMarket.snapshot_interval_ms", "300"),
        (lambda: SyntheticMarket(compression="xz"), "SyntheticMarket.compression", "xz"),
        (lambda: SyntheticMarket(signal_r2=1.0), "SyntheticMarket.signal_r2", "1.0"),
        (lambda: SyntheticMarket(signal_r2=0.1, signal_horizon_s=1800), "SyntheticMarket.signal_horizon_s", "1800"),
        (lambda: SyntheticMarket(market_order_rate=float("nan")), "SyntheticMarket.market_order_rate", "nan"),
        (lambda: SyntheticMarket(day=date(1960, 1, 1)), "SyntheticMarket.day", "1960"),
        (lambda: Instrument("SYN BTC"), "Instrument.symbol", "SYN BTC"),
        (lambda: Instrument("S", tick_size="0"), "Instrument.tick_size", "'0'"),
        (lambda: Instrument("S", tick_size="ten"), "Instrument.tick_size", "ten"),
        (lambda: Instrument("S", base_price="10"), "Instrument.base_price", "'10'"),
        (lambda: FeedDefects(late=0.9), "FeedDefects.late", "0.9"),
        (lambda: FeedDefects(gap_lines=0), "FeedDefects.gap_lines", "0"),
        (lambda: OrderFlow(hawkes_self=0.9, hawkes_cross=0.2), "OrderFlow.hawkes_self", "0.9"),
        (lambda: OrderFlow(limit_rate=0), "OrderFlow.limit_rate", "0"),
    ],
)
def test_a_bad_knob_gets_one_line_with_field_value_and_allowed(make: Any, field: str, value: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        make()
    message = str(caught.value)
    assert message.startswith(field + ":")
    assert value in message
    assert "\n" not in message


def test_an_unknown_symbol_or_venue_is_refused() -> None:
    with pytest.raises(ValueError, match=r"symbol: 'BTC' .* allowed: SYNBTC"):
        simulate(ONE, "BTC", "synthetic_a")
    with pytest.raises(ValueError, match=r"venue: 'x' .* allowed: synthetic_a"):
        simulate(ONE, "SYNBTC", "x")


# --- bytes and rows --------------------------------------------------------------------------------------------------

_WRITE = """
import sys
from pathlib import Path
from tracebank_models.market.synthetic_exchange import *
market = SyntheticMarket(duration_s=30, seed=5, signal_r2=0.2, signal_horizon_s=2, defects=FeedDefects(late=0.05))
print(*(one.sha256 for one in write_day(market, Path(sys.argv[1])).files))
"""


def test_the_same_market_is_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    runs = []
    for hash_seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", _WRITE, str(tmp_path / hash_seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        runs.append(done.stdout.split())
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 4


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_writing_again_replaces_with_the_same_bytes(tmp_path: Path, compression: str) -> None:
    market = replace(ONE, compression=compression, duration_s=20)
    path = day_path(market, "SYNBTC", "synthetic_a", tmp_path)
    assert str(path.relative_to(tmp_path)).startswith("venue=synthetic_a/SYNBTC_20240808.")
    path.parent.mkdir()
    path.write_bytes(b"old")
    first = write_day(market, tmp_path)
    kept = path.read_bytes()
    second = write_day(market, tmp_path)
    assert first == second
    assert path.read_bytes() == kept
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    other = write_day(replace(market, seed=1), tmp_path)
    assert other.files[0].sha256 != first.files[0].sha256


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = day_path(ONE, "SYNBTC", "synthetic_a", tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"old")

    def give_up(done: int, total: int) -> None:
        assert done <= total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_day(ONE, tmp_path, progress=give_up)
    assert path.read_bytes() == b"old"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_progress_ends_at_the_number_of_snapshots(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    market = replace(ONE, venues=("synthetic_a", "synthetic_b"), duration_s=10)
    write_day(market, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (200, 200)
    assert seen == sorted(seen)


def test_lines_have_the_recorded_form_field_by_field(tmp_path: Path) -> None:
    write_day(replace(ONE, streams=ALL_STREAMS, duration_s=10), tmp_path)
    lines = lines_of(day_path(ONE, "SYNBTC", "synthetic_a", tmp_path))
    found = by_stream(lines)
    assert list(found["trade"][0][1]) == ["e", "E", "T", "s", "t", "p", "q", "X", "m"]
    assert list(found["bookTicker"][0][1]) == ["u", "e", "s", "b", "B", "a", "A", "T", "E"]
    assert list(found["depth10"][0][1]) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]
    assert list(found["depth"][0][1]) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]
    assert list(found["rest"][0][1]) == ["lastUpdateId", "E", "T", "bids", "asks"]
    streams = {json.loads(line.split(b" ", 1)[1]).get("stream") for line in lines}
    names = ["trade", "bookTicker", "depth10@100ms", "depth@100ms"]
    assert streams == {None, *(f"synbtc@{name}" for name in names)}
    for line in lines:
        local, text = line.split(b" ", 1)
        message = json.loads(text)
        assert json.dumps(message, separators=(",", ":")).encode() == text
        data = message.get("data", message)
        assert data["T"] <= data["E"] <= int(local) // 1_000_000
    assert all(len(data["b"]) == len(data["a"]) == 10 for _, data in found["depth10"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tick=st.sampled_from(["0.1", "0.5", "1", "25", "0.00001", "0.010"]),
    lot=st.sampled_from(["1", "0.001", "5", "0.00000001", "0.25"]),
    seed=st.integers(0, 2**63 - 1),
    interval=st.sampled_from([50, 100, 250, 1000]),
)
def test_the_file_carries_the_rows_of_the_frames(tmp_path: Path, tick: str, lot: str, seed: int, interval: int) -> None:
    instrument = Instrument("SYN_X", tick_size=tick, lot_size=lot, base_price=str(20_000 * float(tick) + 0.0))
    market = replace(
        ONE, symbols=(instrument,), seed=seed, duration_s=12, snapshot_interval_ms=interval, market_order_rate=10
    )
    write_day(market, tmp_path)
    day = simulate(market, "SYN_X", "synthetic_a")
    found = by_stream(lines_of(day_path(market, "SYN_X", "synthetic_a", tmp_path)))
    trades = [data for _, data in found["trade"]]
    assert day.trades["seq"].to_list() == [one["t"] for one in trades]
    assert day.trades["price"].to_list() == [float(one["p"]) for one in trades]
    assert day.trades["qty"].to_list() == [float(one["q"]) for one in trades]
    assert day.trades["side"].to_list() == ["sell" if one["m"] else "buy" for one in trades]
    for frame, stream in ((day.trades, "trade"), (day.quotes, "bookTicker"), (day.book, "depth10")):
        assert ns(frame["ts"]) == [data["T"] * 1_000_000 for _, data in found[stream]]
        assert ns(frame["local_ts"]) == [local for local, _ in found[stream]]
    quotes = [data for _, data in found["bookTicker"]]
    for column, key in (("bid_price", "b"), ("bid_qty", "B"), ("ask_price", "a"), ("ask_qty", "A")):
        assert day.quotes[column].to_list() == [float(one[key]) for one in quotes]
    for side, key in (("bid", "b"), ("ask", "a")):
        for level in range(10):
            both = [tuple(map(float, data[key][level])) for _, data in found["depth10"]]
            assert day.book.select(f"{side}_price_{level}", f"{side}_qty_{level}").rows() == both
    prices = day.trades["price"].to_numpy() / float(tick)
    assert np.allclose(prices, np.round(prices), rtol=0, atol=1e-6)


def test_frames_have_the_stored_columns_and_do_not_depend_on_chunks_or_streams() -> None:
    market = replace(ONE, duration_s=3_000, market_order_rate=20, snapshot_interval_ms=50)
    chunks = list(simulate_chunks(market, "SYNBTC", "synthetic_a"))
    assert len(chunks) > 2
    day = simulate(market, "SYNBTC", "synthetic_a")
    assert pl.concat([one.book for one in chunks]).equals(day.book)
    assert dict(day.trades.schema) == TRADES
    assert dict(day.quotes.schema) == QUOTES
    assert dict(day.book.schema) == BOOK
    assert day.book.height == market.snapshots == 60_000
    trades_only = simulate(replace(market, streams=("trade",)), "SYNBTC", "synthetic_a")
    assert trades_only.trades.drop("local_ts").equals(day.trades.drop("local_ts"))
    assert trades_only.book.is_empty()
    assert trades_only.quotes.is_empty()


def test_differences_and_the_rest_snapshot_rebuild_every_ten_level_snapshot(tmp_path: Path) -> None:
    market = replace(ONE, streams=ALL_STREAMS, duration_s=300, signal_r2=0.2, signal_horizon_s=5)
    write_day(market, tmp_path)
    book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    seen, waiting, last, compared = False, [], -1, 0

    def apply(data: dict[str, Any]) -> None:
        for side in "ba":
            for price, qty in data[side]:
                book[side].pop(price, None)
                if float(qty) > 0:
                    book[side][price] = qty

    for parsed in map(parse, lines_of(day_path(market, "SYNBTC", "synthetic_a", tmp_path))):
        assert parsed is not None
        message = parsed[1]
        if "stream" not in message:
            seen, last = True, message["lastUpdateId"]
            book = {"b": dict(message["bids"]), "a": dict(message["asks"])}
            pending = [one for one in waiting if one["u"] > last]
            assert pending, "as in a real recording, a difference older than the REST line must be applied after it"
        elif message["stream"].endswith("@depth@100ms"):
            pending = [message["data"]]
        else:
            if "@depth10@" in message["stream"]:
                snapshot = message["data"]
            continue
        for data in pending:
            if not seen:
                waiting.append(data)
                continue
            assert data["U"] <= last + 1 <= data["u"]
            assert data["pu"] == last
            apply(data)
            last = data["u"]
            if last == snapshot["u"]:
                for side, sign in (("b", -1), ("a", 1)):
                    best = sorted(book[side].items(), key=lambda level: sign * float(level[0]))[:10]
                    assert [list(level) for level in best] == snapshot[side]
                compared += 1
    assert compared > 2_900


# --- defects ---------------------------------------------------------------------------------------------------------


def recount(lines: list[bytes]) -> tuple[dict[str, Counter[str]], int, int]:
    """Rows, duplicates and late lines per stream, unreadable lines, and REST lines: from the bytes alone."""
    keys = {"trade": "t", "bookTicker": "u", "depth10": "u", "depth": "u"}
    counts = {"rows": Counter[str](), "duplicates": Counter[str](), "late": Counter[str]()}
    unreadable = rest = 0
    seen: set[bytes] = set()
    youngest: dict[str, int] = {}
    for line in lines:
        parsed = parse(line)
        if parsed is None:
            unreadable += 1
            continue
        if "stream" not in parsed[1]:
            rest += 1
            continue
        stream = parsed[1]["stream"].split("@")[1]
        if line in seen:
            counts["duplicates"][stream] += 1
            continue
        seen.add(line)
        counts["rows"][stream] += 1
        number = parsed[1]["data"][keys[stream]]
        counts["late"][stream] += number < youngest.get(stream, 0)
        youngest[stream] = max(youngest.get(stream, 0), number)
    return counts, unreadable, rest


def check_accounting(market: SyntheticMarket, file: FileManifest) -> None:
    lines = lines_of(file.path)
    counts, unreadable, rest = recount(lines)
    assert dict(counts["rows"]) == file.rows
    assert {name: counts["duplicates"][name] for name in file.rows} == file.duplicates
    assert {name: counts["late"][name] for name in file.rows} == file.late
    assert unreadable == sum(file.unreadable.values())
    assert rest == file.rest_snapshots
    assert len(lines) == file.lines == sum(file.rows.values()) + sum(file.duplicates.values()) + unreadable + rest
    day = simulate(market, file.symbol, file.venue)
    made = {"trade": day.trades.height, "bookTicker": day.quotes.height, "depth10": day.book.height}
    for name, rows in made.items():
        assert file.rows[name] + file.dropped[name] == rows
    ms = day.trades["ts"].cast(pl.Int64)
    assert file.tied_trades == int((ms.diff() == 0).sum())


def test_the_manifest_counts_every_planted_defect(tmp_path: Path) -> None:
    market = replace(ONE, venues=("synthetic_a", "synthetic_b"), streams=ALL_STREAMS, duration_s=400, defects=DEFECTS)
    for file in write_day(market, tmp_path).files:
        check_accounting(market, file)
        assert min(file.late["bookTicker"], file.duplicates["bookTicker"], file.dropped["bookTicker"]) > 20
        assert min(file.unreadable.values()) > 10
        expected = file.lines / (1 + DEFECTS.duplicates + DEFECTS.unreadable)
        assert abs(sum(file.duplicates.values()) - expected * DEFECTS.duplicates) < 5 * (expected * 0.01) ** 0.5


def test_a_clean_feed_has_no_defect_and_rising_times(tmp_path: Path) -> None:
    clean = replace(ONE, defects=FeedDefects(ties=0), streams=ALL_STREAMS)
    file = write_day(clean, tmp_path).files[0]
    check_accounting(clean, file)
    assert file.split_fills == 0
    assert not any(sum(part.values()) for part in (file.dropped, file.duplicates, file.late, file.unreadable))
    received = [int(line.split(b" ", 1)[0]) for line in lines_of(file.path)]
    assert received == sorted(received)
    for stream, number in (("trade", "t"), ("depth", "pu")):
        numbers = [data[number] for _, data in by_stream(lines_of(file.path))[stream]]
        assert numbers == sorted(set(numbers))


def test_defects_never_change_the_market() -> None:
    clean = replace(ONE, defects=FeedDefects(ties=0), duration_s=300)
    plain = simulate(clean, "SYNBTC", "synthetic_a")
    tied = simulate(replace(clean, defects=DEFECTS), "SYNBTC", "synthetic_a")
    assert plain.quotes.drop("local_ts").equals(tied.quotes.drop("local_ts"))
    assert plain.book.drop("local_ts").equals(tied.book.drop("local_ts"))
    assert tied.trades.height > plain.trades.height
    key = ["ts", "price", "side"]
    sums = [one.trades.group_by(key).agg(pl.sum("qty").round(6)).sort(key) for one in (plain, tied)]
    assert sums[0].equals(sums[1])


# --- the planted signal ----------------------------------------------------------------------------------------------


def outer_imbalance_and_returns(
    book: pl.DataFrame, horizon_s: int, tick: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a forecaster does: the outer-depth imbalance at each window's start, and the mid's change to the next."""
    starts = book.filter(pl.col("ts").cast(pl.Int64) % (horizon_s * 1_000_000_000) == 0)
    bid = starts.select(pl.sum_horizontal(f"bid_qty_{level}" for level in range(5, 10))).to_series().to_numpy()
    ask = starts.select(pl.sum_horizontal(f"ask_qty_{level}" for level in range(5, 10))).to_series().to_numpy()
    mid = ((starts["bid_price_0"] + starts["ask_price_0"]) / 2).to_numpy() / tick
    return ((bid - ask) / (bid + ask))[:-1], np.diff(mid)


def r_squared(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, y)[0, 1] ** 2)


SIGNAL = replace(
    ONE,
    venues=("synthetic_a", "synthetic_b"),
    streams=("depth10",),
    duration_s=40_000,
    snapshot_interval_ms=1_000,
    market_order_rate=1.0,
    signal_r2=0.1,
    signal_horizon_s=1,
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileManifest, ...]:
    return write_day(SIGNAL, tmp_path_factory.mktemp("signal")).files


@pytest.mark.parametrize("venue", [0, 1])
def test_a_regression_recovers_the_planted_signal(planted: tuple[FileManifest, ...], venue: int) -> None:
    file = planted[venue]
    x, y = outer_imbalance_and_returns(simulate(SIGNAL, "SYNBTC", SIGNAL.venues[venue]).book, 1, 1.0)
    assert x.size == 39_999
    picks = np.random.default_rng(0).integers(0, x.size, (200, x.size))
    error = np.std([r_squared(x[pick], y[pick]) for pick in picks])
    assert file.signal_r2 is not None
    assert file.signal_beta is not None
    assert error < 0.006
    assert abs(r_squared(x, y) - file.signal_r2) < 4 * error
    slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1))
    residual = (y - y.mean() - slope * (x - x.mean())) * (x - x.mean())
    assert abs(slope - file.signal_beta) < 4 * float(np.sqrt((residual**2).sum())) / (x.size * x.var())


def test_the_r2_at_the_first_venue_is_the_one_asked_for(planted: tuple[FileManifest, ...]) -> None:
    assert planted[0].signal_r2 == pytest.approx(0.1, abs=1e-9)
    assert planted[1].signal_r2 == pytest.approx(0.1, abs=0.01)


def test_without_strength_the_published_signal_explains_nothing() -> None:
    for off in (replace(SIGNAL, signal_r2=0.0), replace(SIGNAL, signal_r2=None)):
        x, y = outer_imbalance_and_returns(simulate(off, "SYNBTC", "synthetic_a").book, 1, 1.0)
        # The square of a correlation of nothing is chi-squared over n: beyond 15/n once in 10,000 draws.
        assert r_squared(x, y) < 15 / x.size


def test_the_signal_adds_whole_ticks_and_changes_no_queue() -> None:
    quiet, loud = (
        simulate(replace(SIGNAL, signal_r2=r2, duration_s=3_000), "SYNBTC", "synthetic_a").book for r2 in (None, 0.5)
    )
    moved = (loud["bid_price_0"] - quiet["bid_price_0"]).to_numpy()
    assert np.array_equal(moved, np.round(moved))
    assert moved.std() > 5
    for level in range(5):
        assert loud[f"bid_qty_{level}"].equals(quiet[f"bid_qty_{level}"])
    outer = [f"{side}_qty_{level}" for side in ("bid", "ask") for level in range(5, 10)]
    totals = [one.select(pl.sum_horizontal(outer)).to_series().round(6) for one in (quiet, loud)]
    assert totals[0].equals(totals[1])
    x, _ = outer_imbalance_and_returns(loud, 1, 1.0)
    assert x.std() == pytest.approx(0.6 / 3**0.5, rel=0.05)
    assert np.abs(x).max() <= 0.61


# --- realism ---------------------------------------------------------------------------------------------------------

REAL = replace(ONE, venues=("synthetic_a", "synthetic_b"), duration_s=20_000, seed=3)


@pytest.fixture(scope="module")
def real() -> Any:
    return simulate(REAL, "SYNBTC", "synthetic_a")


def autocorrelation(x: NDArray[np.float64], lag: int) -> float:
    centred = x - x.mean()
    return float((centred[:-lag] * centred[lag:]).mean() / x.var())


def mid_of(book: pl.DataFrame) -> NDArray[np.float64]:
    return ((book["bid_price_0"] + book["ask_price_0"]) / 2).to_numpy()


def test_books_are_ordered_uncrossed_and_positive(real: Any) -> None:
    book = real.book
    for side, sign in (("bid", -1), ("ask", 1)):
        for level in range(9):
            step = (book[f"{side}_price_{level + 1}"] - book[f"{side}_price_{level}"]) * sign
            assert step.min() >= 1.0
        assert min(book[f"{side}_qty_{level}"].min() for level in range(10)) > 0
    for frame, bid, ask in ((book, "bid_price_0", "ask_price_0"), (real.quotes, "bid_price", "ask_price")):
        assert (frame[ask] - frame[bid]).min() >= 1.0
    spread = (book["ask_price_0"] - book["bid_price_0"]).to_numpy()
    assert 1.0 < spread.mean() < 2.0
    assert (spread == 1.0).mean() > 0.6
    assert real.trades["qty"].min() > 0
    assert book["seq"].is_sorted()
    assert book["seq"].is_unique().all()
    assert real.quotes["seq"].is_unique().all()
    assert real.trades["seq"].diff().drop_nulls().unique().to_list() == [1]


def test_trades_print_at_the_quote_they_take(real: Any) -> None:
    """Each trade's price lies at or beyond the opposite best of the quote that stood before it."""
    quotes = real.quotes.select("local_ts", "bid_price", "ask_price")
    joined = real.trades.join_asof(quotes, on="local_ts", strategy="backward").drop_nulls()
    bought = joined.filter(pl.col("side") == "buy")
    sold = joined.filter(pl.col("side") == "sell")
    assert (bought["price"] >= bought["ask_price"]).all()
    assert (sold["price"] <= sold["bid_price"]).all()
    assert (bought["price"] == bought["ask_price"]).mean() > 0.8


@pytest.mark.parametrize("seconds", [1, 10])
def test_returns_are_heavy_tailed_and_volatility_clusters(real: Any, seconds: int) -> None:
    returns = np.diff(mid_of(real.book)[:: seconds * 10])
    centred = returns - returns.mean()
    assert (centred**4).mean() / (centred**2).mean() ** 2 - 3 > 1.0
    assert autocorrelation(np.abs(returns), 1) > 0.05
    assert autocorrelation(np.abs(returns), 5) > 0.03
    assert abs(autocorrelation(returns, 1)) < 5 / returns.size**0.5 + 0.05


def test_order_signs_persist_and_arrivals_cluster(real: Any) -> None:
    signs = (real.trades["side"] == "buy").to_numpy() * 2.0 - 1.0
    for lag, least in ((1, 0.4), (5, 0.15), (10, 0.1)):
        assert autocorrelation(signs, lag) > least
    counts = real.trades.group_by_dynamic("ts", every="10s").agg(pl.len())["len"].to_numpy()
    assert counts.var() / counts.mean() > 2
    rate = simulate(replace(REAL, defects=FeedDefects(ties=0)), "SYNBTC", "synthetic_a").trades
    orders = rate.select(pl.struct("ts", "side").n_unique()).item()
    assert orders / REAL.duration_s == pytest.approx(REAL.market_order_rate, rel=0.1)


def test_imbalance_foretells_the_next_move_of_the_mid(real: Any) -> None:
    quotes = real.quotes
    mid = (quotes["bid_price"] + quotes["ask_price"]).to_numpy()
    imbalance = ((quotes["bid_qty"] - quotes["ask_qty"]) / (quotes["bid_qty"] + quotes["ask_qty"])).to_numpy()
    moves = np.flatnonzero(np.diff(mid))
    next_move = np.searchsorted(moves, np.arange(mid.size))
    known = next_move < moves.size
    direction = np.sign(np.diff(mid)[moves[next_move[known]]])
    strong = np.abs(imbalance[known]) > 0.5
    assert (np.sign(imbalance[known]) == direction)[strong].mean() > 0.57
    assert np.corrcoef(imbalance[known], direction)[0, 1] > 0.1


def test_venues_of_a_symbol_share_one_price_and_symbols_do_not(real: Any) -> None:
    other = simulate(REAL, "SYNBTC", "synthetic_b").book
    here, there = mid_of(real.book), mid_of(other)
    assert np.corrcoef(np.diff(here[::10]), np.diff(there[::10]))[0, 1] > 0.9
    assert np.std(here - there) < 3.0
    crossed = (
        np.maximum(real.book["bid_price_0"], other["bid_price_0"]).to_numpy()
        > np.minimum(real.book["ask_price_0"], other["ask_price_0"]).to_numpy()
    )
    assert crossed.mean() < 0.2
    eth = replace(REAL, symbols=(Instrument("SYNETH", base_price="2600.0", tick_size="0.05"),))
    strange = mid_of(simulate(eth, "SYNETH", "synthetic_a").book)
    assert abs(np.corrcoef(np.diff(here[::10]), np.diff(strange[::10]))[0, 1]) < 0.05


def test_volatility_is_the_one_asked_for(real: Any) -> None:
    returns = np.diff(mid_of(real.book)[::600]) / 60_000.0
    annual = returns.std() * (365 * 1_440) ** 0.5
    assert annual == pytest.approx(REAL.annual_volatility, rel=0.3)
