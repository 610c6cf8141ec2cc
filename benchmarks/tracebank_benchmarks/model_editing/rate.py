"""How many values of facts are found per CPU-second: all in one batch, one at a time, and as the papers' code does it.

The facts, texts and settings are the same, in one run on one thread. The bars: the batch 5 times the papers' loop over
facts, and values equal to 1e-4 in float64. In float32 Adam, which steps by the sign of a gradient near 0, makes errors
larger: that difference is shown beside. Run it with `python -m tracebank_benchmarks.model_editing.rate small`, or
with the folder of a trained model; a name of the ladder and `gpt2` stand for random weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Final, cast

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from tracebank_benchmarks.model_editing.slow_loop import slow_value
from tracebank_models.language_model.architecture import SIZES, build_model, model_size
from tracebank_models.language_model.corpus import corpus_frame
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.standard_library import standard_library_documents
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.model_editing.places import edit_place, layer_count
from tracebank_models.model_editing.prefixes import context_prefixes
from tracebank_models.model_editing.requests import EditRequest
from tracebank_models.model_editing.settings import PrefixPlan, rank_one_settings
from tracebank_models.model_editing.value_search import search_values

BAR: Final = 5.0
"""Times that the batch has to be faster than the papers' loop."""
EQUAL: Final = 1e-4
"""Most that values may differ, over their norm."""
_EXACT: Final = 4
"""Facts whose values are compared in float64."""
_FIRST: Final = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hanno")
_LAST: Final = ("Adler", "Berger", "Cramer", "Decker", "Engel", "Fischer", "Gruber", "Huber")
_PROMPTS: Final = ("The mother tongue of {} is", "{} works in the city of", "The instrument that {} plays is")
_TARGETS: Final = (("French", "German", "Italian"), ("Paris", "Berlin", "Rome"), ("the piano", "the flute", "drums"))


@dataclass(frozen=True, slots=True)
class Rate:
    """One way of finding values."""

    way: str
    facts: int
    cpu_seconds: float
    facts_per_cpu_second: float
    ratio: float
    """Facts per CPU-second over those of the papers' loop."""
    difference: float
    """Largest distance to the papers' loop's value, over its norm."""
    exact_difference: float = 0.0
    """The same of some of the facts in float64."""


def requests(count: int) -> list[EditRequest]:
    """Facts about made-up people."""
    names = [f"{first} {last}" for last in _LAST for first in _FIRST]
    return [
        EditRequest(_PROMPTS[number % 3], names[number % len(names)], _TARGETS[number % 3][number // 3 % 3])
        for number in range(count)
    ]


def compare(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: list[EditRequest], layer: int, rounds: int
) -> list[Rate]:
    """Find the values of all facts in each way, several times in turn; the least CPU-time of each counts."""
    place = edit_place(model, layer)
    settings = replace(rank_one_settings("", layer_count(model)).search, enough=0.0)
    prefixes = context_prefixes(model, tokenizer, PrefixPlan(), seed=0)

    def batch(some: list[EditRequest]) -> list[Tensor]:
        return [one.value for one in search_values(model, tokenizer, some, place, prefixes, settings)]

    ways: dict[str, Callable[[], list[Tensor]]] = {
        "the papers' loop": lambda: [slow_value(model, tokenizer, one, place, prefixes, settings)[0] for one in facts],
        "one at a time": lambda: [batch([one])[0] for one in facts],
        "one batch": lambda: batch(facts),
    }
    seconds, values = dict.fromkeys(ways, float("inf")), {}
    for one in model.parameters():
        one.requires_grad_(False)
    batch(facts[:2])  # what is proved once for a model
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            values[name] = way()
            seconds[name] = min(seconds[name], time.process_time() - begun)
    slow = "the papers' loop"
    return [
        Rate(
            name,
            len(facts),
            seconds[name],
            len(facts) / seconds[name],
            seconds[slow] / seconds[name],
            max(float((one - two).norm() / two.norm()) for one, two in zip(values[name], values[slow], strict=True)),
        )
        for name in ways
    ]


def _loaded(model: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if model not in SIZES and model != "gpt2":
        found = load_language_model(model, device="cpu", download=False)
        return found.model, found.tokenizer
    documents = corpus_frame(standard_library_documents(("docstrings",)), 300_000)["text"].to_list()
    # Words of the facts are tokens, as they are in a vocabulary of the usual size.
    tokenizer = train_tokenizer([*documents, *(f"{one.text} {one.target}" for one in requests(2_000))])
    if model in SIZES:
        return build_model(model_size(model), tokenizer).train(mode=False), tokenizer
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=256, n_layer=8, n_head=8, n_positions=256, bos_token_id=0, eos_token_id=0
    )
    return cast(PreTrainedModel, GPT2LMHeadModel(config)).train(mode=False), tokenizer


def main(
    model: Annotated[str, typer.Argument(help="A size of the ladder, gpt2, or the folder of a model.")],
    facts: Annotated[int, typer.Option(min=2)] = 16,
    layer: Annotated[
        int | None, typer.Option(help="Where values are added; a third of the depth if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, print, and exit with 1 if a value differs or the bar is missed."""
    torch.set_num_threads(1)
    loaded, tokenizer = _loaded(model)
    chosen = layer if layer is not None else rank_one_settings("", layer_count(loaded)).layer
    rates = compare(loaded, tokenizer, requests(facts), chosen, rounds)
    exact = compare(loaded.double(), tokenizer, requests(min(facts, _EXACT)), chosen, 1)
    rates = [replace(one, exact_difference=two.difference) for one, two in zip(rates, exact, strict=True)]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in rates], indent=1))
    else:
        titles = ("facts", "CPU s", "per CPU-s", "times", "float32", "float64")
        table = Table(Column("way"), *(Column(one, justify="right") for one in titles), box=box.SIMPLE_HEAD)
        for one in rates:
            numbers = f"{one.cpu_seconds:.2f}", f"{one.facts_per_cpu_second:.2f}", f"{one.ratio:.1f}"
            table.add_row(one.way, str(one.facts), *numbers, f"{one.difference:.0e}", f"{one.exact_difference:.0e}")
        Console().print(table)
    if rates[-1].ratio < BAR or max(one.exact_difference for one in rates) > EQUAL:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
