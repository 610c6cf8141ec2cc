"""What a model behind an endpoint says of features, and how well that tells texts they fire on from others.

Texts are pieces of documents, about as long as the paper's 50 characters (arXiv:2310.08164): the strongest of even
documents are shown, and the explanation is tried on pieces of odd ones. What an endpoint is asked is
`endpoint_explainer`; tests on marked texts are in `endpoint_judgements`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from tracebank_models.chat_endpoint import Exchange
from tracebank_models.features.dictionary_codes import DictionarySet
from tracebank_models.features.endpoint_explainer import DetectionScore, EndpointExplainer, ExampleText
from tracebank_models.features.endpoint_judgements import Judgement, fuzzing, intruder
from tracebank_models.features.streams import TokenBatch, TokenPlaces
from tracebank_models.features.text_pieces import IntruderSet, MarkedDraw, MarkedText, Pieces

MARKED_TESTS: Final = ("fuzzing", "intruder")
"""Tests of an explanation that can be asked for beside detection."""
STRONGEST = 20
SHOWN = 5
"""Of the strongest texts so many are drawn (arXiv:2310.08164)."""
TRIED = 5
"""Texts that the feature fires on, and as many that it does not, for trying an explanation."""
SMALLEST_SHARE = 0.05
"""Of the feature's largest activation: below that a prompt shows 0, so that a text without more does not count. Where
a dictionary's units fire at a share of their own (`Dictionary.fires_at`), it is that."""


@dataclass(frozen=True, slots=True)
class FeatureQuestion:
    """What is asked about one feature."""

    dictionary: str
    feature: int
    examples: Sequence[ExampleText]
    tried_texts: Sequence[str]
    tried_fires: Sequence[bool]
    tried_tokens: int
    """Tokens of the texts that the explanation is tried on."""
    fuzzed: Sequence[MarkedText] = ()
    intruders: Sequence[IntruderSet] = ()


@dataclass(frozen=True, slots=True)
class EndpointExplanation:
    """An explanation, and how it fared."""

    question: FeatureQuestion
    exchange: Exchange
    detection: DetectionScore
    judgements: tuple[Judgement, ...] = ()

    @property
    def text(self) -> str:
        """The explanation."""
        return self.exchange.answer.strip()


def codes_of(
    dictionaries: DictionarySet, chosen: pl.DataFrame, batches: Iterable[TokenBatch]
) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """Codes of some features on every token.

    Args:
        dictionaries: Whose features.
        chosen: Columns dictionary and feature.
        batches: The stream.

    Returns:
        The chosen features in the order of the columns, with the share of its maximum at which each fires, and their
        codes, (tokens, features).

    Raises:
        ValueError: A width is not the dictionary's.
    """
    numbered = dictionaries.numbered(chosen.select("dictionary", "feature")).unique("feature", maintain_order=True)
    columns = numbered["feature"].to_torch().long()
    parts = [dictionaries.encode(batch.activations).cpu()[:, columns] for batch in batches]
    shares = {name: max(SMALLEST_SHARE, one.fires_at) for name, one in dictionaries.dictionaries.items()}
    share = pl.col("dictionary").replace_strict(shares, return_dtype=pl.Float64).alias("share")
    return dictionaries.named(numbered).with_columns(share), torch.cat(parts).numpy()


def questions(
    features: pl.DataFrame,
    codes: NDArray[np.float32],
    places: TokenPlaces,
    texts: pl.Series,
    *,
    seed: int = 0,
) -> Iterator[FeatureQuestion]:
    """What to ask about features; those that fire in no text to be tried, or in all of them, are left out.

    Args:
        features: Columns dictionary, feature and share, see `codes_of`.
        codes: Their codes, (tokens, features).
        places: Every token of the stream.
        texts: `token_texts`.
        seed: Of the drawing.
    """
    pieces = Pieces.of(places, texts)
    largest = np.maximum.reduceat(codes, pieces.starts, axis=0)
    words = pieces.words
    for column, (name, feature, share) in enumerate(features.select("dictionary", "feature", "share").iter_rows()):
        chance = np.random.default_rng((seed, column))
        by_piece = largest[:, column]
        peak = by_piece[pieces.shown].max(initial=0)
        if not peak > 0:
            continue
        strongest = np.flatnonzero(pieces.shown & (by_piece > 0))
        strongest = strongest[np.argsort(-by_piece[strongest], kind="stable")][:STRONGEST]
        examples = [
            ExampleText(words[slice(*span)].to_list(), codes[slice(*span), column].tolist())
            for span in pieces.spans(chance.permutation(strongest)[:SHOWN])
        ]
        fires = by_piece >= share * peak
        drawn = [chance.permutation(np.flatnonzero(~pieces.shown & mask))[:TRIED] for mask in (fires, ~fires)]
        if not all(map(len, drawn)):
            continue
        tried = chance.permutation(np.concatenate(drawn))
        spans = pieces.spans(tried)
        marked = MarkedDraw(pieces, codes[:, column] >= share * peak, chance)
        yield FeatureQuestion(
            name,
            feature,
            examples,
            ["".join(words[slice(*span)]) for span in spans],
            fires[tried].tolist(),
            sum(end - start for start, end in spans),
            marked.fuzzed(),
            marked.intruder_sets(),
        )


def ask_all(
    asked: Sequence[FeatureQuestion],
    explainer: Callable[[], EndpointExplainer],
    *,
    also: Collection[str] = (),
    at_once: int = 4,
    progress: Callable[[int], None] | None = None,
) -> list[EndpointExplanation]:
    """Ask for explanations and try each of them: two requests a feature, and one for fuzzing and four for intruders.

    Args:
        asked: The questions.
        explainer: Makes an explainer; called once for each of those that ask at once.
        also: Of `MARKED_TESTS`, what each is tried by beside detection.
        at_once: Features that are asked about at the same time.
        progress: Told how many more are done.

    Returns:
        Explanations in the order of the questions.

    Raises:
        ValueError: A test is not known, the endpoint failed, or it answered what is no explanation and no detection;
            nothing more is asked then. Other answers that cannot be read make their score null.
    """
    if unknown := sorted(set(also) - set(MARKED_TESTS)):
        raise ValueError(f"also: {unknown[0]!r} is not allowed: {' and '.join(MARKED_TESTS)}")
    found: dict[int, EndpointExplanation] = {}
    workers = [explainer() for _ in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        tasks = {pool.submit(_ask, workers, number, one, also): number for number, one in enumerate(asked)}
        try:
            for done in as_completed(tasks):
                found[tasks[done]] = done.result()
                if progress is not None:
                    progress(1)
        except ValueError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[number] for number in range(len(asked))]


def _ask(
    workers: list[EndpointExplainer], number: int, question: FeatureQuestion, also: Collection[str]
) -> EndpointExplanation:
    endpoint = workers[number % len(workers)]
    exchange = endpoint.explain(question.examples)
    text = exchange.answer.strip()
    detection = endpoint.detect(text, question.tried_texts, question.tried_fires)
    judged = []
    if "fuzzing" in also:
        judged.append(fuzzing(endpoint, text, question.fuzzed))
    if "intruder" in also:
        judged.append(intruder(endpoint, question.intruders))
    return EndpointExplanation(question, exchange, detection, tuple(judged))
