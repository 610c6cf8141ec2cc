"""How fast activations are written and read: our shards, an fp16 memmap, and the Arrow data sets of `datasets`.

Run `python -m tracebank_benchmarks.activations.store_rate`. Every figure is megabytes of float32 payload per second of
CPU time, in one process, on one thread, with the files in the page cache. The way of `datasets` is the one of SAELens's
`CacheActivationsRunner` (`Dataset.from_dict`, `save_to_disk`) and runs where `datasets` can be imported. Bars: 1,000
written and 1,000 read in an order shuffled by token.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from tracebank_models.activations.reader import ActivationShards
from tracebank_models.activations.shards import ActivationKey, ShardFolder

_BATCH = 4_096
_SEQUENCE = 128


@dataclass(frozen=True, slots=True)
class Rate:
    """One step of one way, the median of its repetitions."""

    way: str
    step: str
    megabytes: float
    """Payload as float32, in millions of bytes."""
    cpu_seconds: float
    wall_seconds: float

    @property
    def per_cpu_second(self) -> float:
        """Megabytes of float32 payload per second of CPU time."""
        return self.megabytes / self.cpu_seconds


def _timed(way: str, step: str, payload: Tensor, work: Callable[[int], object], repetitions: int) -> Rate:
    cpu, wall = [], []
    for number in range(repetitions):
        begun_cpu, begun_wall = time.process_time(), time.perf_counter()
        work(number)
        cpu.append(time.process_time() - begun_cpu)
        wall.append(time.perf_counter() - begun_wall)
    return Rate(way, step, payload.numel() * 4 / 1e6, statistics.median(cpu), statistics.median(wall))


def _drained(batches: Iterator[Tensor], payload: Tensor) -> None:
    tokens, total = 0, torch.zeros(())
    for batch in batches:
        tokens, total = tokens + len(batch), total + batch[0, 0]
    if tokens != len(payload):
        raise RuntimeError(f"{tokens} tokens were read of {len(payload)}")


def shards(payload: Tensor, folder: Path, repetitions: int, shard_tokens: int) -> Iterator[Rate]:
    """Our shards: float32 in, float32 out, with token ids, documents and positions."""
    count, width = payload.shape
    numbers = np.arange(count)
    columns: dict[str, NDArray[Any]] = {
        "document": numbers // _SEQUENCE,
        "position": (numbers % _SEQUENCE).astype(np.int32),
        "token_id": (numbers % 50_000).astype(np.int32),
    }

    buffer = torch.empty((shard_tokens, width), dtype=torch.float16)  # a capture too makes it once

    def write(number: int) -> None:
        key = ActivationKey(f"model {number}", "layers.0.mlp", "corpus")
        target = ShardFolder.create(folder, key, width=width, shard_tokens=shard_tokens)
        for shard, first in enumerate(range(0, count, shard_tokens)):
            rows = slice(first, min(first + shard_tokens, count))
            half = buffer[: rows.stop - first].copy_(payload[rows])
            target.write(shard, {name: column[rows] for name, column in columns.items()}, half)

    yield _timed("shards", "write", payload, write, repetitions)
    path = folder / ActivationKey("model 0", "layers.0.mlp", "corpus").hash

    def in_order(_: int) -> None:
        _drained((batch.activations for batch in ActivationShards(path).sequential(_BATCH)), payload)

    def shuffled(number: int) -> None:
        _drained((batch.activations for batch in ActivationShards(path).shuffled(_BATCH, seed=number)), payload)

    yield _timed("shards", "read in order", payload, in_order, repetitions)
    yield _timed("shards", "read shuffled by token", payload, shuffled, repetitions)


def memmap(payload: Tensor, folder: Path, repetitions: int) -> Iterator[Rate]:
    """One file of fp16 and nothing else, by NumPy alone, shuffled within blocks of a batch."""
    shape = tuple(payload.shape)

    def write(number: int) -> None:
        mapped = np.memmap(folder / f"{number}.bin", np.float16, "w+", shape=shape)
        for first in range(0, shape[0], _BATCH):
            mapped[first : first + _BATCH] = payload[first : first + _BATCH].numpy()
        mapped.flush()

    def shuffled(number: int) -> None:
        mapped = np.memmap(folder / "0.bin", np.float16, "r", shape=shape)
        random = np.random.default_rng(number)

        def batches() -> Iterator[Tensor]:
            for first in random.permutation(range(0, shape[0], _BATCH)):
                block = mapped[first : first + _BATCH]
                yield torch.from_numpy(block[random.permutation(len(block))].astype(np.float32))

        _drained(batches(), payload)

    yield _timed("fp16 memmap", "write", payload, write, repetitions)
    yield _timed("fp16 memmap", "read shuffled by token", payload, shuffled, repetitions)


def arrow_data_set(payload: Tensor, folder: Path, repetitions: int) -> Iterator[Rate]:
    """A row a sequence, an `Array2D` of float32, as SAELens caches; it shuffles sequences, not tokens."""
    datasets: Any = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    rows = payload[: len(payload) - len(payload) % _SEQUENCE].view(-1, _SEQUENCE, payload.shape[1])
    features = datasets.Features(
        {
            "activations": datasets.Array2D(shape=tuple(rows.shape[1:]), dtype="float32"),
            "token_ids": datasets.Sequence(datasets.Value("int32"), length=_SEQUENCE),
        }
    )
    ids = torch.zeros(rows.shape[:2], dtype=torch.int32)

    def write(number: int) -> None:
        made = datasets.Dataset.from_dict({"activations": rows, "token_ids": ids}, features=features)
        made.save_to_disk(str(folder / f"data_set_{number}"))

    def read(number: int, *, shuffle: bool) -> None:
        found = datasets.load_from_disk(str(folder / "data_set_0")).with_format("torch")
        found = found.shuffle(seed=number) if shuffle else found
        step = _BATCH // _SEQUENCE
        batches = (found[first : first + step]["activations"].flatten(0, 1) for first in range(0, len(found), step))
        _drained(batches, rows.flatten(0, 1))

    yield _timed("datasets", "write", rows, write, repetitions)
    yield _timed("datasets", "read in order", rows, lambda number: read(number, shuffle=False), repetitions)
    yield _timed("datasets", "read shuffled by sequence", rows, lambda number: read(number, shuffle=True), repetitions)


def main(
    tokens: Annotated[int, typer.Option(min=_BATCH)] = 65_536,
    width: Annotated[int, typer.Option(min=1)] = 512,
    shard_tokens: Annotated[int, typer.Option(min=1)] = 65_536,
    repetitions: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure writing and reading of activations."""
    torch.set_num_threads(1)
    payload = torch.randn(tokens, width, generator=torch.Generator().manual_seed(0))
    rates: list[Rate] = []
    with tempfile.TemporaryDirectory() as name:
        ways: list[Callable[[], Iterator[Rate]]] = [
            lambda: shards(payload, Path(name), repetitions, shard_tokens),
            lambda: memmap(payload, Path(name), repetitions),
        ]
        if importlib.util.find_spec("datasets") is not None:
            ways.append(lambda: arrow_data_set(payload, Path(name), min(repetitions, 3)))
        for way in track(ways, "ways", console=Console(stderr=True), transient=True):
            rates += way()
    if as_json:
        typer.echo(json.dumps([asdict(rate) | {"mb_per_cpu_second": rate.per_cpu_second} for rate in rates]))
        return
    shown = Table("way", "step", "MB per CPU second", "MB per second", title=f"{tokens:,} × {width}, float32 payload")
    for rate in rates:
        wall = rate.megabytes / rate.wall_seconds
        shown.add_row(rate.way, rate.step, f"{rate.per_cpu_second:,.0f}", f"{wall:,.0f}")
    Console().print(shown)


if __name__ == "__main__":
    typer.run(main)
