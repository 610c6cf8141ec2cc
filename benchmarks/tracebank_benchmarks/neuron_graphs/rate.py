"""How many graphs of neurons are made per CPU-second, beside the slow loop that makes the same ones.

Both make graphs of the same neurons, from the same windows of Python's docstrings, with the same substitutes, by the
papers' algorithm, in one run on one thread. Graphs are compared row by row, and what they predict of other texts under
both rules. The tokens that went through the model stand beside the seconds, so that speed is not bought by doing less.
Run it with `python -m tracebank_benchmarks.neuron_graphs.rate small`, or with the folder of a trained model; a name of
the ladder stands for random weights. The bars, by CPU time: 10 times on `small`, 5 on `large`.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final, cast

import numpy as np
import torch
import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_benchmarks.neuron_graphs.slow_loop import SlowLoop, SlowUnit, slow_nodes, slow_predict
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.language_model.architecture import SIZES, build_model, model_size
from tracebank_models.language_model.corpus import corpus_frame
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.standard_library import standard_library_documents
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.neuron_graphs.build import BuiltGraph, build_graphs
from tracebank_models.neuron_graphs.graph import Rule
from tracebank_models.neuron_graphs.settings import PAPERS
from tracebank_models.neuron_graphs.substitutes import CorpusSubstitutes
from tracebank_models.neuron_graphs.units import ModelUnits
from tracebank_models.neuron_graphs.windows import Ids, UnitWindows, Window
from tracebank_models.neuron_graphs.words import Substitutes

PEER_SECONDS: Final = 9.4
"""Of a unit on a T4, as the paper says: 48 hours for 18,432 neurons of a model of 6 layers, 768 wide."""
BARS: Final = {"small": 10.0, "large": 5.0}
"""Times that graphs have to be made faster, by size of the ladder."""
SETTINGS: Final = replace(PAPERS, start_token=False)
"""The papers', for texts that are read as corpora are here."""
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Rate:
    """One way of making graphs."""

    way: str
    units: int
    cpu_seconds: float
    units_per_cpu_second: float
    tokens: int
    """That went through the model, padding included."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both ways, and whether they agree."""

    rates: list[Rate]
    ratio: float
    equal_graphs: int
    """Units whose rows are equal, byte by byte."""
    equal_predictions: dict[str, int]
    """Units of which both predict the same of other texts, by rule."""
    variants: float
    """Variants of texts that were kept, a unit."""


def windows_of(units: ModelUnits, corpus: TokenCorpus, neurons: list[int], count: int) -> list[UnitWindows]:
    """The documents in which neurons are strongest, whole, with their strongest token as the pivot."""
    documents = [tuple(corpus.token_ids[a:b].tolist()) for a, b in zip(corpus.starts, corpus.starts[1:], strict=False)]
    strongest = np.empty((len(documents), len(neurons)))
    places = np.empty((len(documents), len(neurons)), np.int64)
    order = sorted(range(len(documents)), key=lambda one: len(documents[one]))
    for first in range(0, len(order), _AT_ONCE):
        some = order[first : first + _AT_ONCE]
        ids, mask = _padded([documents[one] for one in some], units.padding_id)
        values = units.values(ids, mask, torch.tensor(neurons)).masked_fill(~mask[..., None], -torch.inf)
        strongest[some], places[some] = (found.numpy() for found in values.max(1))
    return [
        UnitWindows(
            neuron,
            float(strongest[:, column].max()),
            [
                Window(documents[one], int(places[one, column]), float(strongest[one, column]))
                for one in np.argsort(-strongest[:, column])[:count].tolist()
            ],
        )
        for column, neuron in enumerate(neurons)
    ]


def _padded(texts: list[Ids], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, texts))
    ids = torch.tensor([[*one, *[padding] * (length - len(one))] for one in texts])
    return ids, torch.arange(length) < torch.tensor([[len(one)] for one in texts])


def compare(
    units: ModelUnits, examples: list[UnitWindows], substitutes: Substitutes, texts: list[list[str]]
) -> Comparison:
    """Make the graphs of all units in both ways; whatever is kept between calls is empty for the fast one."""
    slow = SlowLoop(units, SETTINGS, substitutes)
    units.forwarded = 0
    begun = time.process_time()
    built = build_graphs(units, examples, SETTINGS, substitutes)
    fast = _rate("all units at once", len(examples), time.process_time() - begun, units.forwarded)
    begun = time.process_time()
    made = [slow.build(one) for one in track(examples, "slow loop", console=Console(stderr=True), transient=True)]
    looped = _rate("slow loop", len(examples), time.process_time() - begun, slow.forwarded)
    return Comparison(
        [fast, looped],
        looped.cpu_seconds / fast.cpu_seconds,
        sum(_same_rows(one, other) for one, other in zip(built, made, strict=True)),
        {
            rule: sum(
                _same(one, other, texts, longest=rule == "longest") for one, other in zip(built, made, strict=True)
            )
            for rule in ("longest", "maximum")
        },
        sum(one.variants for one in built) / len(built),
    )


def _rate(way: str, units: int, seconds: float, tokens: int) -> Rate:
    return Rate(way, units, seconds, units / seconds, tokens)


def _same_rows(built: BuiltGraph, made: SlowUnit) -> bool:
    if built.graph is None:
        return not made.match
    return bool(built.graph.nodes().equals(slow_nodes(made)))


def _same(built: BuiltGraph, made: SlowUnit, texts: list[list[str]], *, longest: bool) -> bool:
    if built.graph is None:
        return not made.match
    rule: Rule = "longest" if longest else "maximum"
    return all(built.graph.predict(one, rule) == slow_predict(made, one, SETTINGS, longest=longest) for one in texts)


def _loaded(model: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[str]]:
    documents = corpus_frame(standard_library_documents(("docstrings",)), 300_000)["text"].to_list()
    if model in SIZES:
        tokenizer = train_tokenizer(documents)
        return build_model(model_size(model), tokenizer), tokenizer, documents
    found = load_language_model(model, device="cpu", download=False)
    return found.model, found.tokenizer, documents


def main(
    model: Annotated[str, typer.Argument(help="A size of the ladder, or the folder of a model.")],
    layer: Annotated[int, typer.Option(min=0)] = 3,
    neurons: Annotated[int, typer.Option(min=1)] = 50,
    windows: Annotated[int, typer.Option(min=1, help="Of each neuron.")] = 10,
    bar: Annotated[float | None, typer.Option(help="Times; that of the size where a size is given.")] = None,
    double: Annotated[bool, typer.Option(help="Compute in float64, where no kernel's rounding shows.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, print, and exit with 1 if a graph differs or the bar is missed."""
    torch.set_num_threads(1)
    loaded, tokenizer, documents = _loaded(model)
    units = ModelUnits(loaded.double() if double else loaded, tokenizer, f"layers.{layer}.neurons")
    train, test = documents[: len(documents) // 2], documents[len(documents) // 2 :]
    corpus = TokenCorpus.from_texts(train, tokenizer, max_tokens=min(255, units.context - 1))
    chosen = random.Random(0).sample(range(units.features), min(neurons, units.features))
    examples = windows_of(units, corpus, chosen, windows)
    substitutes = CorpusSubstitutes(corpus, units.texts, cast(nn.Embedding, loaded.get_input_embeddings()).weight)
    others = [[units.texts[token] for token in units.encode(text)] for text in test[:40]]
    found = compare(units, examples, substitutes, others)
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"peer_seconds": PEER_SECONDS}, indent=1))
    else:
        _print(found)
    wanted = bar if bar is not None else BARS.get(Path(model).name, 0.0)
    agreed = min(found.equal_graphs, *found.equal_predictions.values()) == len(chosen)
    if not agreed or found.ratio < wanted:
        raise typer.Exit(1)


def _print(found: Comparison) -> None:
    titles = ("units", "CPU s", "per CPU-s", "s a unit", "tokens")
    table = Table(Column("way", no_wrap=True), *(Column(one, justify="right") for one in titles), box=box.SIMPLE_HEAD)
    for rate in found.rates:
        each = rate.cpu_seconds / rate.units
        numbers = f"{rate.units_per_cpu_second:.1f}", f"{each:.4f}", f"{rate.tokens:,}"
        table.add_row(rate.way, str(rate.units), f"{rate.cpu_seconds:.2f}", *numbers)
    console, units = Console(), found.rates[0].units
    console.print(table)
    console.print(f"{found.ratio:.1f} times as fast; {found.variants:.1f} variants kept a unit")
    agree = ", ".join(f"{count} predict the same by {rule}" for rule, count in found.equal_predictions.items())
    console.print(f"of {units} units {found.equal_graphs} have equal graphs, {agree}")
    console.print(f"the paper: {PEER_SECONDS} s a unit on a T4, of a model of 6 layers 768 wide")


if __name__ == "__main__":
    typer.run(main)
