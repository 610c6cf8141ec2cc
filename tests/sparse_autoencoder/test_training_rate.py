"""The speed script runs at a tiny size, counts the steps it says, and fails where a bar is missed."""

from __future__ import annotations

import json

import pytest
import torch
import typer

from tracebank_benchmarks.sparse_autoencoder import training_rate
from tracebank_benchmarks.sparse_autoencoder.training_rate import Rate, Size, TimedBatches, measure


def test_each_library_and_architecture_has_a_rate() -> None:
    rates = measure(Size(8, 32, 64, 4), 2, 3, ["relu", "matryoshka"], peers=False)
    assert [rate.library for rate in rates] == ["tracebank topk", "tracebank relu", "tracebank matryoshka"]
    assert {rate.steps for rate in rates} == {6}
    assert rates[0].ours_to_it == 1
    assert all(rate.activations_per_core_second == pytest.approx(64 / rate.cpu_seconds) for rate in rates)


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
