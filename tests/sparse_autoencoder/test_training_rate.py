"""The speed script runs at a tiny size, counts the steps it says, and fails where a bar is missed."""

from __future__ import annotations

import io
import json

import pytest
import torch
import typer
from rich.console import Console

from tracebank_benchmarks.sparse_autoencoder import training_rate
from tracebank_benchmarks.sparse_autoencoder.training_rate import Rate, Size, TimedBatches, measure


def test_each_library_and_architecture_has_a_rate() -> None:
    rates = measure(Size(8, 32, 64, 4), 2, 3, ["relu", "matryoshka"], peers=False)
    assert [rate.library for rate in rates] == ["tracebank topk", "tracebank relu", "tracebank matryoshka"]
    assert {rate.steps for rate in rates} == {6}
    assert rates[0].ours_to_it == 1
    assert all(rate.activations_per_core_second == pytest.approx(64 / rate.cpu_seconds) for rate in rates)


def test_more_threads_than_one_are_compared_by_wall_time() -> None:
    rates = measure(Size(8, 32, 64, 4), 1, 3, ["relu"], peers=False, by_wall_time=True)
    assert rates[1].ours_to_it == pytest.approx(rates[1].wall_seconds / rates[0].wall_seconds)
    by_processor = measure(Size(8, 32, 64, 4), 1, 3, ["relu"], peers=False)
    assert by_processor[1].ours_to_it == pytest.approx(by_processor[1].cpu_seconds / by_processor[0].cpu_seconds)


def test_no_name_is_cut_in_a_narrow_terminal() -> None:
    rate = Rate("tracebank matryoshka", 12, 123.456, 123.456, 1_234_567.0, 1_234_567.0, 12.34, 4.0)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(training_rate._table([rate], 2))
    row = next(line for line in console.export_text().splitlines() if "tracebank" in line)
    assert row.split() == ["tracebank", "matryoshka", "123.456", "123.456", *["1,234,567"] * 2, "12.34", "4.0"]


def test_warm_steps_are_not_counted() -> None:
    timed = TimedBatches([torch.ones(2, 2)], 5)
    assert len(list(timed)) == 5
    assert len(timed.steps()) == 3


@pytest.mark.parametrize("ratio", [3.9, 4.1])
def test_a_missed_bar_is_an_exit_code(
    ratio: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    rate = Rate("sae_lens topk", 1, ratio, ratio, 1.0, 1.0, ratio, 4.0)
    monkeypatch.setattr(training_rate, "measure", lambda *_, **__: [rate])
    try:
        if ratio < 4:
            with pytest.raises(typer.Exit):
                training_rate.main(as_json=True)
        else:
            training_rate.main(as_json=True)
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out)[0]["ours_to_it"] == ratio
