"""How many activations per core-second a dictionary trains on, beside SAELens and sparsify where they are installed.

Every round runs a few steps of each library in turn, on the same batches, so that the ratios come from one run. A step
is all of it: loss, gradients, clipping, Adam, decoder norm, firing statistics, each library as its own trainer does it.
The clocks are read between two batches that the trainer asks for. With one thread libraries are compared by processor
time, which other processes disturb little; with more by wall time, since threads that wait for each other spend
processor time too. Both are medians over the steps. The bars for top-k, on one thread and on two: 4 times SAELens, 1.5
times sparsify. Run it with `python -m tracebank_benchmarks.sparse_autoencoder.training_rate`; peers join if `sae_lens`
or `sparsify` can be imported (extra `interpretability`).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import torch
import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from torch import Tensor

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining

WARM_STEPS: Final = 2
"""Steps of each round that are not counted."""
BARS: Final = {"sae_lens": 4.0, "sparsify": 1.5}
"""Times that our top-k has to be faster than theirs."""
OURS: Final = "tracebank topk"


@dataclass(frozen=True, slots=True)
class Size:
    """What is trained."""

    d_in: int
    d_sae: int
    batch: int
    k: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Medians of one library's steps."""

    library: str
    steps: int
    cpu_seconds: float
    wall_seconds: float
    activations_per_core_second: float
    activations_per_second: float
    """Of wall time, from the step that was least disturbed."""
    ours_to_it: float
    """Times that our top-k is faster: by processor time on one thread, by wall time on more."""
    bar: float | None


class TimedBatches:
    """Endless batches that note the clocks each time one is asked for."""

    def __init__(self, batches: list[Tensor], count: int) -> None:
        self._batches, self._count = batches, count
        self.clocks: list[tuple[float, float]] = []

    def __iter__(self) -> Iterator[Tensor]:
        for at in range(self._count + 1):
            self.clocks.append((time.process_time(), time.perf_counter()))
            if at < self._count:
                yield self._batches[at % len(self._batches)]

    def steps(self) -> list[tuple[float, float]]:
        """Return processor and wall seconds of the counted steps."""
        pairs = zip(self.clocks, self.clocks[1:], strict=False)
        return [(after[0] - before[0], after[1] - before[1]) for before, after in pairs][WARM_STEPS:]


Runner = Callable[[TimedBatches, int], None]
"""Trains on all batches; the integer is how many there are."""


def ours(size: Size, architecture: str) -> Runner:
    """Return our trainer for an architecture; its state lasts over the rounds."""
    config = DictionaryConfig.from_dict(
        {
            "name": architecture,
            "architecture": architecture,
            "d_in": size.d_in,
            "d_sae": size.d_sae,
            "k": size.k,
            "prefixes": (size.d_sae // 16, size.d_sae // 4, size.d_sae),
        }
    )
    training = StreamTraining([config], "cpu")

    def run(batches: TimedBatches, count: int) -> None:
        del count
        for _ in training.train(ActivationBatch({"activations": x}) for x in batches):
            pass

    return run


def sae_lens_topk(size: Size) -> Runner:
    """Return SAELens's own trainer with its top-k dictionary."""
    sae_lens = importlib.import_module("sae_lens")
    trainers = importlib.import_module("sae_lens.training.sae_trainer")
    settings = importlib.import_module("sae_lens.config")

    sae = sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(d_in=size.d_in, d_sae=size.d_sae, k=size.k))

    def run(batches: TimedBatches, count: int) -> None:
        # It does not ask for a batch too many, so its last step is not counted.
        config = settings.SAETrainerConfig(
            total_training_samples=count * size.batch,
            train_batch_size_samples=size.batch,
            lr_end=3e-4,
            logger=settings.LoggingConfig(log_to_wandb=False),
        )
        with contextlib.redirect_stderr(io.StringIO()):
            trainers.SAETrainer(config, sae, data_provider=iter(batches)).fit()

    return run


def sparsify_topk(size: Size) -> Runner:
    """Return sparsify's dictionary, stepped as its trainer does: FVU, decoder norm kept, firing counted."""
    with contextlib.redirect_stdout(io.StringIO()):
        sparsify = importlib.import_module("sparsify")

    coder = sparsify.SparseCoder(size.d_in, sparsify.SparseCoderConfig(num_latents=size.d_sae, k=size.k))
    optimizer = torch.optim.Adam(coder.parameters(), lr=1e-3)
    silent = torch.zeros(size.d_sae, dtype=torch.long)

    def run(batches: TimedBatches, count: int) -> None:
        del count
        for x in batches:
            out = coder(x)
            out.fvu.backward()
            coder.remove_gradient_parallel_to_decoder_directions()
            optimizer.step()
            optimizer.zero_grad()
            coder.set_decoder_norm_to_unit_norm()
            fired = torch.zeros(size.d_sae, dtype=torch.bool)
            fired[out.latent_indices.flatten()] = True
            silent.add_(len(x)).masked_fill_(fired, 0)

    return run


PEERS: Final[dict[str, Callable[[Size], Runner]]] = {"sae_lens": sae_lens_topk, "sparsify": sparsify_topk}


def measure(
    size: Size, rounds: int, steps: int, architectures: list[str], *, peers: bool, by_wall_time: bool = False
) -> list[Rate]:
    """Train with every library in turn, for some rounds, and return the medians of all counted steps."""
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(size.batch, size.d_in, generator=generator) for _ in range(4)]
    runners = {f"tracebank {name}": ours(size, name) for name in dict.fromkeys(["topk", *architectures])}
    if peers:
        runners |= {f"{name} topk": make(size) for name, make in PEERS.items() if importlib.util.find_spec(name)}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in track(range(rounds), "training", console=Console(stderr=True), transient=True):
        for name, run in runners.items():
            timed = TimedBatches(batches, WARM_STEPS + steps)
            run(timed, WARM_STEPS + steps)
            seconds[name] += timed.steps()
    medians = {name: statistics.median(pair[by_wall_time] for pair in found) for name, found in seconds.items()}
    return [_rate(name, found, size, medians[name] / medians[OURS]) for name, found in seconds.items()]


def _rate(name: str, found: list[tuple[float, float]], size: Size, ours_to_it: float) -> Rate:
    cpu = statistics.median(cpu for cpu, _ in found)
    return Rate(
        library=name,
        steps=len(found),
        cpu_seconds=cpu,
        wall_seconds=statistics.median(wall for _, wall in found),
        activations_per_core_second=size.batch / cpu,
        activations_per_second=size.batch / min(wall for _, wall in found),
        ours_to_it=ours_to_it,
        bar=BARS.get(name.split()[0]),
    )


def main(
    d_in: int = 512,
    d_sae: int = 4096,
    batch: int = 4096,
    k: int = 32,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Counted steps of each library in a round.")] = 4,
    architecture: Annotated[list[str] | None, typer.Option(help="Ours besides top-k; repeatable.")] = None,
    peers: Annotated[bool, typer.Option(help="Measure SAELens and sparsify too, where installed.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, print, and exit with 1 if a peer that is there is not beaten by its bar."""
    torch.set_num_threads(threads)
    size = Size(d_in, d_sae, batch, k)
    rates = measure(size, rounds, steps, architecture or [], peers=peers, by_wall_time=threads > 1)
    if as_json:
        typer.echo(json.dumps([asdict(rate) for rate in rates], indent=1))
    else:
        Console().print(_table(rates, threads))
    missed = [rate.library for rate in rates if rate.bar is not None and rate.ours_to_it < rate.bar]
    if missed:
        raise typer.Exit(1)


def _table(rates: list[Rate], threads: int) -> Table:
    titles = ("CPU s", "wall s", "per core-s", "per s", "ratio", "bar")
    clock = "wall" if threads > 1 else "CPU"
    table = Table(
        Column("library", no_wrap=True),
        *(Column(title, justify="right") for title in titles),
        title=f"{threads} thread(s), {rates[0].steps} steps: seconds a step, activations, ours to it by {clock} time",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for rate in rates:
        numbers = f"{rate.activations_per_core_second:,.0f}", f"{rate.activations_per_second:,.0f}"
        clocks = f"{rate.cpu_seconds:.3f}", f"{rate.wall_seconds:.3f}"
        bar = "" if rate.bar is None else f"{rate.bar:.1f}"
        table.add_row(rate.library, *clocks, *numbers, f"{rate.ours_to_it:.2f}", bar)
    return table


if __name__ == "__main__":
    typer.run(main)
