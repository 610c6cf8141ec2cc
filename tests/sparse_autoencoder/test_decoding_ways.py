"""The script that compares the ways of decoding times each of them, on work that it does."""

from __future__ import annotations

import pytest

from tracebank_benchmarks.sparse_autoencoder import decoding_ways


def test_each_way_is_timed_and_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(decoding_ways, "SHAPES", ((8, 16, 2), (8, 32, 4)))
    decoding_ways.main(tokens=32, rounds=2)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["shape", "k", *decoding_ways.WAYS]
    assert [row.split()[:4] for row in rows] == [["8", "->", "16", "2"], ["8", "->", "32", "4"]]
    assert all(seconds > 0 for pair in decoding_ways.measure(8, 16, 2, 512, 2).values() for seconds in pair)
