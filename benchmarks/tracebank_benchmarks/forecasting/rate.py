"""Windows per second of CPU, on one thread: HFformer here, the paper's form of the same function, and peers.

The forms take turns, so that a busy machine slows all. Run it with `python -m
tracebank_benchmarks.forecasting.rate`; peers join if `neuralforecast` can be imported. The bars: 3 times the paper's
form in training, 30 times for a forecast of one of 30 horizons, one window in less than 0.5 ms at the median.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tracebank_models.device import one_thread
from tracebank_models.forecasting.hfformer import HFformer
from tracebank_models.forecasting.shape import Shape
from tracebank_models.order_book_features.windows import Windows

from .paper_form import PaperForm, all_windows

PAPER: Final = "the paper's form"
COLUMNS, LOOK_BACK, BATCH = 38, 100, 256


def main(turns: int = 4, batches: int = 2, ticks: int = 3_000) -> None:
    """Print rates.

    Args:
        turns: Times that each form has its turn.
        batches: Of 256 windows, in a turn.
        ticks: Rows that windows are made of.
    """
    features = np.random.default_rng(0).normal(size=(ticks, COLUMNS)).astype(np.float32).cumsum(0)
    with one_thread():
        made = all_windows(features, LOOK_BACK)
        lazy = Windows(torch.from_numpy(features), LOOK_BACK)

        def of_memory(ends: Tensor) -> Tensor:
            return torch.from_numpy(made[ends - LOOK_BACK + 1]).float()

        one, many = Shape(COLUMNS, LOOK_BACK, 1), Shape(COLUMNS, LOOK_BACK, 30)
        forms: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]] = {
            PAPER: (PaperForm(), of_memory),
            "HFformer": (HFformer(one), lazy.batch),
            "HFformer, 30 horizons": (HFformer(many), lazy.batch),
        }
        for what, step in (("train", _train), ("forecast", _forecast)):
            seconds = _seconds(forms, step, turns, batches, ticks)
            rates = {name: turns * batches * BATCH / spent for name, spent in seconds.items()}
            for name, rate in rates.items():
                _say(f"{what}, {name}: {rate:,.0f} windows/s, {rate / rates[PAPER]:.1f} times")
            each = 30 * rates["HFformer, 30 horizons"] / rates[PAPER]
            _say(f"{what}, a forecast of one horizon: {each:.0f} times")
        _latency(HFformer(many).eval(), lazy)
    rows = 720_000
    gigabytes = rows * LOOK_BACK * COLUMNS * 8 / 1e9, rows * COLUMNS * 4 / 1e9
    _say(f"{rows:,} windows: {gigabytes[0]:.1f} GB made beforehand, {gigabytes[1]:.2f} GB here")
    for peer in ("PatchTST", "LSTM"):
        _peer(peer, features[:, 0])


def _seconds(
    forms: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]],
    step: Callable[[nn.Module, Tensor], None],
    turns: int,
    batches: int,
    ticks: int,
) -> dict[str, float]:
    """CPU time of each form over all turns, the first batch of each not counted."""
    spent, random = dict.fromkeys(forms, 0.0), torch.Generator().manual_seed(0)
    for turn in range(turns + 1):
        for name, (module, windows) in forms.items():
            began = time.process_time()
            for _ in range(batches if turn else 1):
                step(module, windows(torch.randint(LOOK_BACK - 1, ticks, (BATCH,), generator=random)))
            spent[name] += time.process_time() - began if turn else 0.0
    return spent


def _train(module: nn.Module, windows: Tensor) -> None:
    # The optimizer's own work is the same few thousand numbers for every form.
    module.train()
    module.zero_grad()
    module(windows).square().sum().backward()


@torch.no_grad()
def _forecast(module: nn.Module, windows: Tensor) -> None:
    module.eval()(windows)


@torch.no_grad()
def _latency(module: nn.Module, windows: Windows, times: int = 400) -> None:
    taken = []
    for end in torch.arange(LOOK_BACK - 1, LOOK_BACK - 1 + times):
        began = time.perf_counter()
        module(windows.batch(end[None]))
        taken.append(1e3 * (time.perf_counter() - began))
    _say(f"one window, z-score included: {np.quantile(taken, 0.5):.2f} ms p50, {np.quantile(taken, 0.99):.2f} ms p99")


def _peer(name: str, series: np.ndarray[tuple[int], np.dtype[np.float32]], steps: int = 20) -> None:
    if importlib.util.find_spec("neuralforecast") is None:
        _say(f"train, neuralforecast's {name}: not installed")
        return
    import pandas as pd

    neuralforecast: Any = importlib.import_module("neuralforecast")

    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    kind = getattr(importlib.import_module("neuralforecast.models"), name)
    model = kind(h=30, input_size=LOOK_BACK, max_steps=steps, windows_batch_size=BATCH, batch_size=1, **quiet)
    frame = pd.DataFrame({"unique_id": "book", "ds": np.arange(len(series)), "y": series})
    began = time.process_time()
    neuralforecast.NeuralForecast(models=[model], freq=1).fit(df=frame)
    _say(f"train, neuralforecast's {name}: {steps * BATCH / (time.process_time() - began):,.0f} windows/s")


def _say(what: str) -> None:
    print(what)  # noqa: T201


if __name__ == "__main__":
    main()
