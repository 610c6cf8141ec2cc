"""The live recorder: what it writes reads as what was sent, whatever happens on the way, and what it says of it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
import zstandard
from polars.testing import assert_frame_equal
from tests.market.live_exchange import ABORT, BAD_FRAME, GOING_AWAY, LiveExchange, Step, playing
from typer.testing import CliRunner

from tracebank_assets.commands.record import record
from tracebank_assets.market import recording
from tracebank_assets.market.depth_requests import RecordingError
from tracebank_assets.market.recorded import Recorded
from tracebank_assets.market.recording import Recorder
from tracebank_assets.market.survey import survey
from tracebank_models.market import binance_streams
from tracebank_models.market.binance_streams import VENUES, StreamVenue, subscriptions, venue_named
from tracebank_models.market.chunks import Source
from tracebank_models.market.pipeline import load
from tracebank_models.market.recording_files import SymbolFiles, recover, symbol_folder
from tracebank_models.market.synthetic_exchange import Instrument, SyntheticMarket, write_day

SNAPSHOTS = ("trade", "bookTicker", "depth10")
DIFFERENCES = ("trade", "depth")
HOUR_NS = 3_600 * 10**9
LOCAL_NS = 1_723_161_600 * 10**9
"""A full hour."""


def unpacked(path: Path) -> list[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())) as reader:
        return reader.read().split(b"\n")[:-1]


def sent_by(folder: Path, streams: tuple[str, ...]) -> tuple[Path, list[bytes], bytes]:
    """A file of the synthetic exchange, its messages, and the REST snapshot among them."""
    market = SyntheticMarket((Instrument("SYNBTC"),), ("binance_usdm",), duration_s=60, streams=streams, seed=5)
    path = write_day(market, folder).files[0].path
    messages = [line.partition(b" ")[2] for line in unpacked(path)]
    rest = next(
        (message for message in messages if message.startswith(b'{"lastUpdateId"')),
        b'{"lastUpdateId":1,"bids":[],"asks":[]}',
    )
    return path, [message for message in messages if message.startswith(b'{"stream"')], rest


def rows_of(paths: list[Path], table: str) -> pl.DataFrame:
    """What the reader makes of files, without when a recorder received it."""
    sources = [Source(path, "recorder", "binance_usdm", "SYNBTC") for path in paths]
    return pl.concat([loaded.batches[table] for loaded in load(sources) if table in loaded.batches]).drop("local_ts")


class Heard:
    """Counts what a recorder takes, and ends it after so many."""

    def __init__(self, until: int) -> None:
        self.count, self.until, self.stop = 0, until, asyncio.Event()

    def __call__(self, _received_ns: int, message: bytes) -> None:
        self.count += 1
        if self.count == self.until:
            self.stop.set()

    def has(self, count: int) -> Callable[[], bool]:
        return lambda: self.count >= count


def recorded(venue: StreamVenue, folder: Path, heard: Any, streams: tuple[str, ...], **more: Any) -> Recorded:
    recorder = Recorder(
        venue,
        ["synbtc"],
        [f"{name}@100ms" if "depth" in name else name for name in streams],
        folder,
        hear=heard,
        **more,
    )
    return asyncio.run(recorder.run(heard.stop, 60))


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PAUSE_S", 0.0)
    monkeypatch.setattr(recording, "_waits", lambda: iter(lambda: 0.0, None))


def test_what_was_recorded_reads_as_what_was_sent_though_connections_broke(tmp_path: Path) -> None:
    path, messages, rest = sent_by(tmp_path, SNAPSHOTS)
    broken = b"no JSON\nat all"
    told: list[str] = []
    heard = Heard(len(messages) + 1)
    thirds = len(messages) // 3
    scripts: list[list[Step]] = [
        [*messages[:thirds], broken, GOING_AWAY],
        [*messages[thirds : 2 * thirds], heard.has(2 * thirds + 1), ABORT],
        [*messages[2 * thirds : -9], heard.has(len(messages) - 8), BAD_FRAME],
        messages[-9:],
    ]
    exchange = LiveExchange(scripts, {"SYNBTC": rest})
    with playing(exchange) as venue:
        done = recorded(venue, tmp_path / "live", heard, SNAPSHOTS, tell=told.append)
    assert [unpacked(file.path) for file in done.files] == [unpacked(done.files[0].path)]
    lines = [line.partition(b" ")[2] for line in unpacked(done.files[0].path)]
    assert lines == [*messages[:thirds], broken.replace(b"\n", b" "), *messages[thirds:]]
    for table in ("trades", "quotes", "book"):
        assert_frame_equal(rows_of([done.files[0].path], table), rows_of([path], table))
    assert (done.lines, done.silent, exchange.asked) == (len(messages) + 1, [], [("SYNBTC", 5)])
    assert len(done.losses) == len(exchange.connected) - 1 == 3
    assert "1001 (going away)" in done.losses[0].reason
    assert all(loss.gone_s is not None for loss in done.losses)
    assert [f"{done.losses[0]}" in told, len(told)] == [True, 6]


def test_receive_times_never_fall_and_are_of_now(tmp_path: Path) -> None:
    _, messages, rest = sent_by(tmp_path, SNAPSHOTS)
    before, heard = time.time_ns(), Heard(500)
    with playing(LiveExchange([messages[:500]], {"SYNBTC": rest})) as venue:
        done = recorded(venue, tmp_path / "live", heard, SNAPSHOTS)
    times = [int(line.partition(b" ")[0]) for line in unpacked(done.files[0].path)]
    assert before < times[0]
    assert times == sorted(times)
    assert times[-1] < time.time_ns()


def test_differences_come_with_a_snapshot_on_which_their_book_stands(tmp_path: Path) -> None:
    path, messages, rest = sent_by(tmp_path, DIFFERENCES)
    exchange = LiveExchange([], {"SYNBTC": rest})
    heard = Heard(len(messages) + 1)
    exchange.scripts.append([*messages[:30], heard.has(31), *messages[30:]])
    with playing(exchange) as venue:
        done = recorded(venue, tmp_path / "live", heard, DIFFERENCES)
    assert exchange.asked == [("SYNBTC", 5), ("SYNBTC", 1000)]
    assert rest in [line.partition(b" ")[2] for line in unpacked(done.files[0].path)]
    whole, sent = (rows_of([one], "book").filter(pl.col("state") == "whole") for one in (done.files[0].path, path))
    assert 500 < len(whole) <= len(sent)
    assert_frame_equal(whole, sent.tail(len(whole)))


def test_each_connection_gets_its_own_snapshot(tmp_path: Path) -> None:
    _, messages, rest = sent_by(tmp_path, DIFFERENCES)
    heard = Heard(62)
    scripts: list[list[Step]] = [[*messages[:30], heard.has(31), GOING_AWAY], messages[30:60]]
    exchange = LiveExchange(scripts, {"SYNBTC": rest})
    with playing(exchange) as venue:
        recorded(venue, tmp_path, heard, DIFFERENCES)
    assert exchange.asked[1:] == [("SYNBTC", 1000)] * 2


def test_a_recorder_that_is_slower_than_the_venue_loses_nothing(tmp_path: Path) -> None:
    path, messages, rest = sent_by(tmp_path, SNAPSHOTS)
    heard = Heard(len(messages))

    def slow(received_ns: int, message: bytes) -> None:
        if heard.count % 200 == 0:
            time.sleep(0.02)
        heard(received_ns, message)

    slow.stop = heard.stop  # type: ignore[attr-defined]
    with playing(LiveExchange([messages], {"SYNBTC": rest})) as venue:
        done = recorded(venue, tmp_path / "live", slow, SNAPSHOTS)
    assert (done.losses, done.lines) == ([], len(messages))
    assert_frame_equal(rows_of([done.files[0].path], "book"), rows_of([path], "book"))


def test_an_old_connection_is_heard_until_its_successor_is_there(tmp_path: Path) -> None:
    _, messages, rest = sent_by(tmp_path, SNAPSHOTS)
    heard = Heard(300)
    exchange = LiveExchange([], {"SYNBTC": rest})
    second = lambda: len(exchange.connected) >= 2  # noqa: E731
    exchange.scripts += [[*messages[:100], second, *messages[100:200]], messages[150:250]]
    with playing(exchange) as venue:
        done = recorded(venue, tmp_path / "live", heard, SNAPSHOTS, longest_s=0.3)
    assert done.losses == []
    taken = {line.partition(b" ")[2] for line in unpacked(done.files[0].path)}
    assert taken == set(messages[:250])


def test_a_new_file_is_begun_each_hour_and_when_one_is_large(tmp_path: Path) -> None:
    files = SymbolFiles(tmp_path, "BTCUSDT", largest=2_000)
    for at in (LOCAL_NS, LOCAL_NS + 1_234_000, LOCAL_NS + HOUR_NS - 1, LOCAL_NS + HOUR_NS):
        assert files.add(at, b"{}") == (at in (LOCAL_NS, LOCAL_NS + HOUR_NS))
    files.add(LOCAL_NS + HOUR_NS + 1_000, os.urandom(3_000).hex().encode())
    files.flush()
    assert files.add(LOCAL_NS + HOUR_NS + 5_000, b"{}")
    files.finish()
    assert [(file.path.name, file.lines) for file in files.finished] == [
        ("BTCUSDT_20240809T000000000000000.zst", 3),
        ("BTCUSDT_20240809T010000000000000.zst", 2),
        ("BTCUSDT_20240809T010000000005000.zst", 1),
    ]
    assert sum(file.bytes for file in files.finished) == sum(path.stat().st_size for path in tmp_path.iterdir())


def left_by_a_killed_recorder(folder: Path, cut: float, symbol: str = "BTCUSDT") -> tuple[list[bytes], int]:
    """Leave a file that was written up to somewhere in its second half; return the lines, and how many were flushed."""
    files = SymbolFiles(folder, symbol)
    lines = [b'%d {"stream":"btcusdt@trade","data":{"t":%d}}' % (LOCAL_NS + n, n) for n in range(2_000)]
    for n, line in enumerate(lines):
        files.add(LOCAL_NS + n, line.partition(b" ")[2])
        if n == 999:
            files.flush()
            part = next(folder.glob(".*.part"))
            flushed = part.stat().st_size
    files.flush()
    size = flushed + round(cut * (part.stat().st_size - flushed))
    os.truncate(part, size)
    return lines, 1_000


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.99, 1.0])
def test_what_a_killed_recorder_had_flushed_is_finished_by_the_next(tmp_path: Path, cut: float) -> None:
    lines, flushed = left_by_a_killed_recorder(tmp_path, cut)
    assert survey([tmp_path]).sources == {}
    (file,) = recover(tmp_path, "BTCUSDT")
    assert file.lines >= flushed
    assert unpacked(file.path) == lines[: file.lines]
    assert [path.name for path in tmp_path.iterdir()] == ["BTCUSDT_20240809T000000000000000.zst"]
    assert [source.format for source in survey([tmp_path]).sources.values()] == ["recorder"]
    assert recover(tmp_path, "BTCUSDT") == []


def test_a_file_whose_recorder_lives_is_left_alone_and_one_without_a_line_goes(tmp_path: Path) -> None:
    files = SymbolFiles(tmp_path, "BTCUSDT")
    files.add(LOCAL_NS, b"{}")
    assert recover(tmp_path, "BTCUSDT") == []
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".BTCUSDT_20240808T000000000000000.zst.part").touch()
    assert recover(tmp_path, "BTCUSDT") == []
    files.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["BTCUSDT_20240809T000000000000000.zst"]


def test_a_file_that_could_not_be_written_is_written_to_no_more(tmp_path: Path) -> None:
    lines, _ = left_by_a_killed_recorder(tmp_path / "a", 1.0)
    files = SymbolFiles(tmp_path / "b", "BTCUSDT")
    files.add(LOCAL_NS, lines[0])
    files.flush()
    assert files._file is not None
    files._file._file.close()
    files.add(LOCAL_NS + 1, lines[1])
    with pytest.raises(ValueError, match="closed file"):
        files.flush()
    files.finish()
    assert files.finished == []
    assert [file.lines for file in recover(tmp_path / "b", "BTCUSDT")] == [1]


def test_every_stream_has_its_address() -> None:
    (one,) = subscriptions(venue_named("binance_spot"), ["btcusdt", "BTCUSDT"], ["depth10@100ms", "trade"])
    assert one.address == "wss://data-stream.binance.vision/stream?streams=btcusdt@depth10@100ms/btcusdt@trade"
    assert one.streams == {"btcusdt@depth10@100ms": "BTCUSDT", "btcusdt@trade": "BTCUSDT"}
    public, market = subscriptions(venue_named("binance_usdm"), ["BTCUSDT"], ["depth@0ms", "aggTrade"])
    assert public.address == "wss://fstream.binance.com/public/stream?streams=btcusdt@depth@0ms"
    assert market.address == "wss://fstream.binance.com/market/stream?streams=btcusdt@aggTrade"
    (coin,) = subscriptions(venue_named("binance_coinm"), ["BTCUSD_PERP"], ["kline_1m"])
    assert coin.address == "wss://dstream.binance.com/stream?streams=btcusd_perp@kline_1m"


def test_many_streams_are_spread_over_connections() -> None:
    found = subscriptions(VENUES["binance_spot"], [f"A{n}USDT" for n in range(120)], ["trade", "bookTicker"])
    assert [len(each.streams) for each in found] == [100, 100, 40]
    assert max(len(each.address) for each in found) < 4_000


@pytest.mark.parametrize(
    ("venue", "symbols", "streams", "said"),
    [
        (
            "nyse",
            ["IBM"],
            ["trade"],
            "venue: 'nyse' is not allowed; allowed: binance_spot, binance_usdm, binance_coinm",
        ),
        ("binance_spot", ["BTC/USDT"], ["trade"], "symbol: 'BTC/USDT' is not allowed; allowed: letters and digits"),
        ("binance_spot", [], ["trade"], "symbols: none is named"),
        ("binance_spot", ["BTCUSDT"], ["depth7"], "stream: 'depth7' is not one of binance_spot; allowed: trade, aggT"),
        ("binance_spot", ["BTCUSDT"], ["depth@0ms"], "stream: 'depth@0ms' is not one of binance_spot"),
        ("binance_usdm", ["BTCUSDT"], ["kline_1s"], "stream: 'kline_1s' is not one of binance_usdm"),
        ("binance_spot", [f"A{n}USDT" for n in range(2_001)], ["trade"], "streams: 2,001 are too many; allowed: up to"),
    ],
)
def test_what_cannot_be_recorded_is_said(venue: str, symbols: list[str], streams: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        subscriptions(venue_named(venue), symbols, streams)


def test_an_unknown_symbol_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with (
        playing(LiveExchange([], {})) as venue,
        pytest.raises(ValueError, match="'SYNBTC' is not known to binance_usdm"),
    ):
        recorded(venue, tmp_path, Heard(1), SNAPSHOTS)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with playing(LiveExchange([], {"SYNBTC": b'{"lastUpdateId":1,"bids":[],"asks":[]}'})) as venue:
        elsewhere = StreamVenue("a", (("", "ws://127.0.0.1:9"),), venue.depth_address, 5, (100,), "1m")
        with pytest.raises(RecordingError, match=r"ws://127.0.0.1:9/stream cannot be reached: .*is there a network\?"):
            recorded(elsewhere, tmp_path, Heard(1), SNAPSHOTS)
    with pytest.raises(
        RecordingError, match=r"/depth\?symbol=SYNBTC&limit=5 cannot be reached: .*is there a network\?"
    ):
        recorded(venue, tmp_path, Heard(1), SNAPSHOTS)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_command_and_it_says_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, messages, rest = sent_by(tmp_path, SNAPSHOTS)
    app = typer.Typer()
    app.command()(record)
    live = tmp_path / "live"

    def written() -> bool:
        parts = list(live.rglob(".*.part"))
        return bool(parts) and parts[0].stat().st_size > 0

    def interrupted() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return True

    left_by_a_killed_recorder(symbol_folder(live, "binance_usdm", "SYNBTC"), 1.0, "SYNBTC")
    with playing(LiveExchange([[*messages[:400], written, interrupted]], {"SYNBTC": rest})) as venue:
        monkeypatch.setitem(binance_streams.VENUES, venue.name, venue)
        arguments = ["synbtc", "--venue", venue.name, "--folder", str(live), "--streams", "trade,depth10@100ms"]
        answer = CliRunner().invoke(app, [*arguments, "--json"])
    assert answer.exit_code == 0, answer.output
    said = json.loads(answer.stdout)
    assert (said["losses"], said["silent"]) == ([], [])
    assert [(file["symbol"], file["lines"]) for file in said["files"]] == [("SYNBTC", 2_000), ("SYNBTC", 400)]


def test_the_command_says_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(record)
    answer = CliRunner().invoke(app, ["BTCUSDT", "--streams", "tickers", "--folder", str(tmp_path)])
    assert answer.exit_code == 2
    assert "stream: 'tickers' is not one of binance_spot" in answer.output.replace("\n", " ")
