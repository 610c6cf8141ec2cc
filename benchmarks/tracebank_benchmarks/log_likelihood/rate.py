"""How many tokens of pairs are scored per CPU-second, beside lm-eval's `HFLM.loglikelihood` where it is installed.

Both score the same texts with the same model and tokenizer (made here, no network), tokenising included, in turn in
one run, on one thread, in float32. Two sets of pairs: each with a context of its own, and two of each context, of which
one has two names swapped. Tokens are those of contexts and continuations, whatever is read of them, so that a context
that is read once for two counts twice. Run it with `python -m tracebank_benchmarks.log_likelihood.rate`; the peer joins
if `lm_eval` can be imported (extra `lm-eval`). The bars: 2 times lm-eval on shared contexts, 1.5 times on others, and
scores within 1e-3 nats.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, cast

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.standard_library import standard_library_documents
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.log_likelihood.scorer import ScorerSettings, encoded_pair, scored

BARS: Final = {"unshared": 1.5, "shared": 2.0}
"""Times that the scorer has to be faster than lm-eval."""
CLOSE: Final = 1e-3
"""Most that scores may differ, nats."""
_WORD = re.compile(r"[A-Za-z_]{3,}")
_PARTS = re.compile(rf"({_WORD.pattern})")

Text = tuple[str, str]
Score = tuple[float, bool]


@dataclass(frozen=True, slots=True)
class Rate:
    """One way of scoring one set of pairs."""

    pairs: str
    way: str
    tokens: int
    cpu_seconds: float
    """Median of the rounds."""
    tokens_per_cpu_second: float
    ours_to_it: float
    """How many times as fast the scorer is; of medians."""
    apart: float
    """Largest difference to the scorer's score, nats."""


def text_pairs(texts: Sequence[str], count: int, shared: bool) -> list[Text]:
    """Contexts of about 150 tokens, cut at the end of a line, and continuations of about 60.

    Args:
        texts: Sources.
        count: Pairs.
        shared: Whether two pairs each have one context.
    """
    random, pairs = np.random.default_rng(0), list[Text]()
    whole = "\n".join(texts)
    while len(pairs) < count:
        start, length, rest = (int(random.integers(*ends)) for ends in ((0, len(whole) - 4_000), (250, 900), (90, 400)))
        end = whole.index("\n", start + length)
        context, continuation = whole[start:end], whole[end : end + rest]
        names = list(dict.fromkeys(_WORD.findall(continuation)))
        if len(names) < 2 or not context.strip():
            continue
        pairs.append((context, continuation))
        if shared:
            swap = dict(zip(names[:2], names[1::-1], strict=True))
            pairs.append((context, "".join(swap.get(part, part) for part in map(str, _PARTS.split(continuation)))))
    return pairs[:count]


def ways(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Callable[[list[Text]], list[Score]]]:
    """The scorer, as it comes and with batches of about 16 pairs, and lm-eval with batches of 16, if it is there."""
    found = {"tracebank": _ours(model, tokenizer, None), "tracebank, 16 pairs": _ours(model, tokenizer, 16 * 210)}
    if importlib.util.find_spec("lm_eval") is not None:
        found["lm-eval"] = _theirs(model, tokenizer)
    return found


def _ours(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_tokens: int | None
) -> Callable[[list[Text]], list[Score]]:
    def score(texts: list[Text]) -> list[Score]:
        pairs = [encoded_pair(tokenizer, *text) for text in texts]
        found = scored(model, pairs, ScorerSettings(batch_tokens))
        return list(zip(found.log_likelihood.tolist(), found.greedy.tolist(), strict=True))

    return score


def _theirs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[Text]], list[Score]]:
    instance: Any = importlib.import_module("lm_eval.api.instance").Instance
    peer: Any = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=16
    )

    def score(texts: list[Text]) -> list[Score]:
        requests = [instance("loglikelihood", {}, text, number) for number, text in enumerate(texts)]
        return [(float(value), bool(greedy)) for value, greedy in peer.loglikelihood(requests, disable_tqdm=True)]

    return score


def measure(
    found: dict[str, Callable[[list[Text]], list[Score]]], name: str, texts: list[Text], tokens: int, rounds: int
) -> list[Rate]:
    """Score the texts in every way in turn, `rounds` times; the first way is ours."""
    seconds: dict[str, list[float]] = {way: [] for way in found}
    scores: dict[str, list[Score]] = {}
    for _ in track(range(rounds), f"{name} pairs", console=Console(stderr=True)):
        for way, score in found.items():
            start = time.process_time()
            scores[way] = score(texts)
            seconds[way].append(time.process_time() - start)
    ours = next(iter(found))
    medians = {way: statistics.median(some) for way, some in seconds.items()}
    return [
        Rate(name, way, tokens, middle, tokens / middle, middle / medians[ours], _apart(scores[way], scores[ours]))
        for way, middle in medians.items()
    ]


def _apart(first: list[Score], second: list[Score]) -> float:
    return max(abs(one[0] - two[0]) for one, two in zip(first, second, strict=True))


def table(rates: Sequence[Rate]) -> Table:
    """The rates, for a terminal."""
    shown = Table("pairs", "way", "tokens", "CPU s", "tokens/CPU s", "ours/it", "apart, nats", box=None)
    for rate in rates:
        numbers = f"{rate.cpu_seconds:.2f}", f"{rate.tokens_per_cpu_second:,.0f}", f"{rate.ours_to_it:.2f}"
        shown.add_row(rate.pairs, rate.way, f"{rate.tokens:,}", *numbers, f"{rate.apart:.1e}")
    return shown


def misses(rates: Sequence[Rate]) -> list[str]:
    """What is slower than its bar, or whose scores differ."""
    peers = [rate for rate in rates if rate.way == "lm-eval"]
    slow = [
        f"{one.pairs}: {one.ours_to_it:.2f} < {BARS[one.pairs]}" for one in peers if one.ours_to_it < BARS[one.pairs]
    ]
    return slow + [f"{one.pairs}, {one.way}: {one.apart:.1e} nats apart" for one in rates if one.apart > CLOSE]


def main(
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of each set.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="Times each way is measured.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the scorer beside lm-eval on one thread."""
    torch.set_num_threads(1)
    documents = standard_library_documents(["sources"])
    texts = [document.text for document in itertools.islice(documents, 200)]
    tokenizer = train_tokenizer(texts, 8192)
    torch.manual_seed(0)
    model = cast(PreTrainedModel, GPT2LMHeadModel(GPT2Config(vocab_size=8192, n_embd=256, n_layer=4, n_head=4)))
    model.train(mode=False)
    found, rates = ways(model, tokenizer), list[Rate]()
    for name in BARS:
        chosen = text_pairs(texts, pairs, name == "shared")
        tokens = sum(len(ids) for pair in chosen for ids in encoded_pair(tokenizer, *pair))
        rates += measure(found, name, chosen, tokens, rounds)
    if as_json:
        print(json.dumps([asdict(rate) for rate in rates]))  # noqa: T201
    else:
        Console().print(table(rates))
    if missed := misses(rates):
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    typer.run(main)
