"""The benchmark of ways to store activations: every step of ours and of the memory map, at a tiny size."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from tracebank_benchmarks.activations import store_rate
from tracebank_benchmarks.activations.store_rate import Stopwatch


@pytest.fixture
def app() -> object:
    import typer

    found = typer.Typer()
    found.command()(store_rate.main)
    return found


def test_every_step_is_reported(app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)  # the peer takes seconds
    sizes = ["--tokens", "5000", "--width", "8", "--shard-tokens", "4096", "--repetitions", "1"]
    threads = torch.get_num_threads()
    try:
        answer = CliRunner().invoke(app, [*sizes, "--json"])  # type: ignore[arg-type]
        shown = CliRunner().invoke(app, sizes)  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(threads)
    rates = json.loads(answer.stdout.splitlines()[-1])
    reads = ["read shuffled by token", "the same from disk"]
    assert [(rate["way"], rate["step"]) for rate in rates] == [
        *(("shards", step) for step in ("write", "read in order", *reads)),
        *(("fp16 memmap", step) for step in ("write", *reads)),
    ]
    for rate in rates:
        assert rate["megabytes"] == pytest.approx(5000 * 8 * 4 / 1e6)
        assert rate["least_cpu_seconds"] <= rate["cpu_seconds"] <= rate["most_cpu_seconds"]
    assert "the same from disk" in shown.stdout


def test_the_first_time_does_not_count_and_what_comes_before_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    now = 0.0

    def spend(what: str, number: int, seconds: float) -> None:
        nonlocal now
        seen.append((what, number))
        now += seconds

    monkeypatch.setattr(store_rate, "time", SimpleNamespace(process_time=lambda: now, perf_counter=lambda: 2 * now))
    watch = Stopwatch("way", torch.zeros(10, 10), 2)
    rate = watch.timed(
        "step",
        lambda number: spend("work", number, 3.0 if number else 50.0),
        lambda number: spend("before", number, 100.0),
    )
    assert seen == [(what, number) for number in range(3) for what in ("before", "work")]
    assert (rate.least_cpu_seconds, rate.cpu_seconds, rate.most_cpu_seconds, rate.wall_seconds) == (3.0, 3.0, 3.0, 6.0)
    assert rate.megabytes == pytest.approx(400 / 1e6)
