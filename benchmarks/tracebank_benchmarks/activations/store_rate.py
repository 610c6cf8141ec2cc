"""How fast activations are written and read: our shards, an fp16 memmap, and the Arrow data sets of `datasets`.

Run `python -m tracebank_benchmarks.activations.store_rate`. A figure is megabytes of float32 payload per second of CPU
time (the process's own and the kernel's for it; waiting for the disk is in the wall time alone), the median of some
repetitions after one that does not count, in one process, on one thread. Every write makes a new file and ends when it
is on the disk; the file before it is removed between the two, so that each way may use memory which the kernel has at
hand: pages that it has to make anew cost a virtual machine ten times as much, and are the luck of the moment. Reads
find their files in the page cache, except those from disk, before which they are put out of it.

The way of `datasets` is the one of SAELens's `CacheActivationsRunner` (`Dataset.from_dict`, `save_to_disk`, which does
not wait for the disk) and runs where `datasets` can be imported. Bars: 1,000 written, and 1,000 read in an order
shuffled by token.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
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
    least_cpu_seconds: float
    most_cpu_seconds: float

    @property
    def per_cpu_second(self) -> float:
        """Megabytes of float32 payload per second of CPU time."""
        return self.megabytes / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times the steps of one way on one payload."""

    way: str
    payload: Tensor
    repetitions: int

    def timed(self, step: str, work: Callable[[int], object], before: Callable[[int], object] | None = None) -> Rate:
        """Do a step once to warm up and then as often as asked for; `before` is not timed."""
        cpu, wall = [], []
        for number in range(self.repetitions + 1):
            if before is not None:
                before(number)
            begun_cpu, begun_wall = time.process_time(), time.perf_counter()
            work(number)
            cpu.append(time.process_time() - begun_cpu)
            wall.append(time.perf_counter() - begun_wall)
        megabytes, counted = self.payload.numel() * 4 / 1e6, cpu[1:]
        return Rate(
            self.way,
            step,
            megabytes,
            statistics.median(counted),
            statistics.median(wall[1:]),
            min(counted),
            max(counted),
        )


def _out_of_cache(paths: Iterable[Path]) -> None:
    """Have the kernel forget what it holds of files, all of which is on the disk."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _drained(batches: Iterator[Tensor], payload: Tensor) -> None:
    tokens, total = 0, torch.zeros(())
    for batch in batches:
        tokens, total = tokens + len(batch), total + batch[0, 0]
    if tokens != len(payload):
        raise RuntimeError(f"{tokens} tokens were read of {len(payload)}")


def _columns(count: int) -> dict[str, NDArray[Any]]:
    numbers = np.arange(count)
    return {
        "document": numbers // _SEQUENCE,
        "position": (numbers % _SEQUENCE).astype(np.int32),
        "token_id": (numbers % 50_000).astype(np.int32),
    }


def shards(payload: Tensor, folder: Path, repetitions: int, shard_tokens: int) -> Iterator[Rate]:
    """Our shards: float32 in, float32 out, with token ids, documents and positions."""
    watch = Stopwatch("shards", payload, repetitions)
    count, width = payload.shape
    columns = _columns(count)
    buffer = torch.empty((shard_tokens, width), dtype=torch.float16)  # a capture too makes it once

    def key(number: int) -> ActivationKey:
        return ActivationKey(f"model {number}", "layers.0.mlp", "corpus")

    def write(number: int) -> None:
        target = ShardFolder.create(folder, key(number), width=width, shard_tokens=shard_tokens)
        for shard, first in enumerate(range(0, count, shard_tokens)):
            rows = slice(first, min(first + shard_tokens, count))
            half = buffer[: rows.stop - first].copy_(payload[rows])
            target.write(shard, {name: column[rows] for name, column in columns.items()}, half)

    yield watch.timed("write", write, lambda number: shutil.rmtree(folder / key(number - 1).hash, ignore_errors=True))
    path = folder / key(repetitions).hash

    def in_order(_: int) -> None:
        _drained((batch.activations for batch in ActivationShards(path).sequential(_BATCH)), payload)

    def shuffled(number: int) -> None:
        _drained((batch.activations for batch in ActivationShards(path).shuffled(_BATCH, seed=number)), payload)

    yield watch.timed("read in order", in_order)
    yield watch.timed("read shuffled by token", shuffled)
    yield watch.timed("the same from disk", shuffled, lambda _: _out_of_cache(path.glob("*.arrow")))


def memmap(payload: Tensor, folder: Path, repetitions: int) -> Iterator[Rate]:
    """One file of fp16 and nothing else, by NumPy alone, shuffled within blocks of a batch."""
    watch = Stopwatch("fp16 memmap", payload, repetitions)
    shape = tuple(payload.shape)

    def path(number: int) -> Path:
        return folder / f"{number}.bin"

    def write(number: int) -> None:
        mapped = np.memmap(path(number), np.float16, "w+", shape=shape)
        for first in range(0, shape[0], _BATCH):
            mapped[first : first + _BATCH] = payload[first : first + _BATCH].numpy()
        mapped.flush()

    def shuffled(number: int) -> None:
        mapped = np.memmap(path(repetitions), np.float16, "r", shape=shape)
        random = np.random.default_rng(number)

        def batches() -> Iterator[Tensor]:
            for first in random.permutation(range(0, shape[0], _BATCH)):
                block = mapped[first : first + _BATCH]
                yield torch.from_numpy(block[random.permutation(len(block))].astype(np.float32))

        _drained(batches(), payload)

    yield watch.timed("write", write, lambda number: path(number - 1).unlink(missing_ok=True))
    yield watch.timed("read shuffled by token", shuffled)
    yield watch.timed("the same from disk", shuffled, lambda _: _out_of_cache([path(repetitions)]))


def arrow_data_set(payload: Tensor, folder: Path, repetitions: int) -> Iterator[Rate]:
    """A row a sequence, an `Array2D` of float32, as SAELens caches; it shuffles sequences, not tokens."""
    datasets: Any = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    rows = payload[: len(payload) - len(payload) % _SEQUENCE].view(-1, _SEQUENCE, payload.shape[1])
    watch = Stopwatch("datasets", rows, repetitions)
    features = datasets.Features(
        {
            "activations": datasets.Array2D(shape=tuple(rows.shape[1:]), dtype="float32"),
            "token_ids": datasets.Sequence(datasets.Value("int32"), length=_SEQUENCE),
        }
    )
    ids = torch.zeros(rows.shape[:2], dtype=torch.int32)

    def path(number: int) -> Path:
        return folder / f"data_set_{number}"

    def write(number: int) -> None:
        made = datasets.Dataset.from_dict({"activations": rows, "token_ids": ids}, features=features)
        made.save_to_disk(str(path(number)))

    def read(number: int, *, shuffle: bool) -> None:
        found = datasets.load_from_disk(str(path(repetitions))).with_format("torch")
        found = found.shuffle(seed=number) if shuffle else found
        step = _BATCH // _SEQUENCE
        batches = (found[first : first + step]["activations"].flatten(0, 1) for first in range(0, len(found), step))
        _drained(batches, rows.flatten(0, 1))

    yield watch.timed("write", write, lambda number: shutil.rmtree(path(number - 1), ignore_errors=True))
    yield watch.timed("read in order", lambda number: read(number, shuffle=False))
    yield watch.timed("read shuffled by sequence", lambda number: read(number, shuffle=True))


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
    columns = "way", "step", "MB per CPU second", "least and most", "MB per second"
    shown = Table(*columns, title=f"{tokens:,} × {width}, float32 payload")
    for rate in rates:
        least, most = rate.megabytes / rate.most_cpu_seconds, rate.megabytes / rate.least_cpu_seconds
        wall = f"{rate.megabytes / rate.wall_seconds:,.0f}"
        shown.add_row(rate.way, rate.step, f"{rate.per_cpu_second:,.0f}", f"{least:,.0f} to {most:,.0f}", wall)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


if __name__ == "__main__":
    typer.run(main)
