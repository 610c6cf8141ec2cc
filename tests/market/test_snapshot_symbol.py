"""Snapshots that name no symbol: given to the one stream that they fit, else told with the candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tracebank_models.market.chunks import Source
from tracebank_models.market.formats import reader
from tracebank_models.market.snapshot_symbol import LOOK_AHEAD_LINES

MS = 1_723_075_200_000
Level = tuple[str, str]


def difference(
    symbol: str, first: int, last: int, bids: list[Level], asks: list[Level], prev: int | None = None
) -> str:
    data: dict[str, Any] = {"e": "depthUpdate", "E": MS, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    data |= {} if prev is None else {"T": MS, "pu": prev}
    return json.dumps({"stream": f"{symbol.lower()}@depth", "data": data})


def rest(last: int, bids: list[Level], asks: list[Level], *, futures: bool = True) -> str:
    return json.dumps({"lastUpdateId": last, **({"E": MS, "T": MS} if futures else {}), "bids": bids, "asks": asks})


def around(price: float, levels: int = 1, qty: str = "1") -> tuple[list[Level], list[Level]]:
    steps = range(1, levels + 1)
    return [(f"{price * (1 - at / 1e4):.8f}", qty) for at in steps], [
        (f"{price * (1 + at / 1e4):.8f}", qty) for at in steps
    ]


def named(path: Path, lines: list[str], chunk_lines: int = 65536) -> tuple[list[tuple[str, int]], list[str]]:
    """Return the symbol and id of each snapshot that was named, and why others were not."""
    file = path / "recorded.log"
    file.write_text("".join(f"{MS * 10**6 + at} {line}\n" for at, line in enumerate(lines)))
    chunks = list(reader("recorder").read(Source(file, "recorder"), chunk_lines=chunk_lines))
    events = pl.concat([chunk.depth.events for chunk in chunks if chunk.depth is not None])
    found = events.filter("is_snapshot").select("symbol", "seq").rows()
    return found, [bad.reason for chunk in chunks for bad in chunk.rejected]


def usdm(symbol: str, at: int, price: float, levels: int = 1, qty: str = "1") -> str:
    """One of a run of differences, whose ids are of one sequence for all symbols: `at` to `at` + 9."""
    return difference(symbol, at, at + 9, *around(price, levels, qty), prev=at - 3)


@pytest.mark.parametrize("chunk_lines", [1, 2, 65536])
def test_where_ids_are_one_sequence_the_price_tells(tmp_path: Path, chunk_lines: int) -> None:
    streams = [usdm("UNIUSDT", 1000, 8.1), usdm("ONEUSDT", 1002, 0.07), usdm("ETHUSDT", 1004, 2000.0)]
    later = [usdm("UNIUSDT", 1010, 8.11), usdm("ONEUSDT", 1012, 0.071), usdm("ETHUSDT", 1014, 2001.0)]
    asked = [rest(1007, *around(0.0702)), rest(1008, *around(2000.5)), rest(1009, *around(8.12))]
    found, problems = named(tmp_path, [*streams, *asked, *later], chunk_lines)
    assert (found, problems) == ([("ONEUSDT", 1007), ("ETHUSDT", 1008), ("UNIUSDT", 1009)], [])


def test_symbols_of_one_price_are_not_told_apart_by_it(tmp_path: Path) -> None:
    streams = [usdm("USDCUSDT", 1000, 1.0), usdm("FDUSDUSDT", 1002, 1.0001), usdm("BTCUSDT", 1004, 60_000.0)]
    found, (problem,) = named(tmp_path, [*streams, rest(1008, *around(1.0, qty="7"))])
    assert found == []
    assert problem.endswith("update id and prices fit several depth streams: FDUSDUSDT, USDCUSDT; --symbol tells it")


def test_quantities_that_only_one_stream_told_decide_between_prices_that_are_near(tmp_path: Path) -> None:
    streams = [usdm("USDCUSDT", 1000, 1.0, 3, "4.5"), usdm("FDUSDUSDT", 1002, 1.0, 3, "8")]
    found, problems = named(tmp_path, [*streams, rest(1020, *around(1.0, 3, "4.5"))])
    assert (found, problems) == ([("USDCUSDT", 1020)], [])


def test_ids_decide_where_each_symbol_has_its_own(tmp_path: Path) -> None:
    one, other = around(1.0), around(1.0)
    lines = [
        difference("USDCUSDT", 100, 110, *one),
        difference("FDUSDUSDT", 90_000, 90_010, *other),
        rest(90_005, *one, futures=False),
        rest(108, *one, futures=False),
    ]
    assert named(tmp_path, lines) == ([("FDUSDUSDT", 90_005), ("USDCUSDT", 108)], [])


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (rest(1005, *around(2000.0)), "prices"),
        (rest(1005, *around(55_000.0)), "prices a tenth off"),
        (rest(900_000, *around(60_000.0)), "ids"),
        (rest(5, *around(60_000.0)), "ids"),
        (rest(1005, *around(60_000.0), futures=False), "a spot snapshot"),
        (rest(1005, [], []), "no prices at all"),
    ],
)
def test_a_single_stream_is_not_given_what_does_not_fit(tmp_path: Path, snapshot: str, why: str) -> None:
    found, problems = named(tmp_path, [usdm("BTCUSDT", 1000, 60_000.0), snapshot, usdm("BTCUSDT", 1010, 60_000.0)])
    assert found == [], why
    assert problems == [
        "a snapshot without a symbol, whose update id and prices fit no depth stream near it"
        f" ({'there is none' if 'spot' in why else 'BTCUSDT'}); --symbol tells it"
    ]


def test_a_snapshot_before_its_stream_began_or_after_it_ended_is_still_its(tmp_path: Path) -> None:
    streams = [usdm("UNIUSDT", at, 8.1) for at in range(1000, 1100, 10)]
    streams += [usdm("ONEUSDT", at, 0.07) for at in range(1003, 1100, 10)]
    lines = [rest(990, *around(8.1)), rest(991, *around(0.07)), *streams, rest(1130, *around(8.1))]
    assert named(tmp_path, lines) == ([("UNIUSDT", 990), ("ONEUSDT", 991), ("UNIUSDT", 1130)], [])


def test_a_stream_is_looked_for_so_far_and_no_further(tmp_path: Path) -> None:
    ticker = json.dumps({"stream": "x@kline_1m", "data": {"e": "kline"}})
    for between, expected in ((LOOK_AHEAD_LINES - 1, [("UNIUSDT", 1005)]), (LOOK_AHEAD_LINES, [])):
        lines = [rest(1005, *around(8.1)), *[ticker] * between, usdm("UNIUSDT", 1000, 8.1)]
        assert [named(tmp_path, lines, chunk)[0] for chunk in (1000, 65536)] == [expected] * 2


def test_a_side_that_is_empty_leaves_the_other_to_tell(tmp_path: Path) -> None:
    streams = [usdm("UNIUSDT", 1000, 8.1), usdm("ONEUSDT", 1002, 0.07)]
    lines = [*streams, rest(1007, [], around(8.1)[1]), rest(1008, around(0.07)[0], [])]
    assert named(tmp_path, lines)[0] == [("UNIUSDT", 1007), ("ONEUSDT", 1008)]
