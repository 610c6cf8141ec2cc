"""Scores of one case under a model as it is now: its prompts, what is said of both objects, and how far that moved.

Probabilities are per token, the geometric mean over an object's: exp(-nll). Divergences are those of the next token
after a prompt, over the whole vocabulary. Means over cases are `summary`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.token_blocks import padded_batch
from tracebank_models.language_model.tokenizer import padding_id
from tracebank_models.log_likelihood.scorer import (
    ScorerSettings,
    TokenPair,
    encoded_pair,
    last_log_probabilities,
    scored,
)

from .divergences import DIVERGENCES, divergences
from .records import EditCase

Kind = Literal["rewrite", "paraphrase", "neighborhood", "neighborhood_plus"]
SCORES_SCHEMA: Final = {
    "case_id": pl.Int64,
    "moment": pl.String,
    "kind": pl.String,
    "index": pl.Int64,
    "nll_new": pl.Float64,
    "nll_true": pl.Float64,
    "success": pl.Boolean,
    "magnitude": pl.Float64,
    "correct": pl.Boolean,
    "kl": pl.Float64,
    "kl_reversed": pl.Float64,
    "kl_released": pl.Float64,
    "generated": pl.String,
    "generated_correct": pl.Boolean,
}
"""A row for each prompt of a case at a moment.

`nll_new`, `nll_true`: nats per token of the new object and of what is true at this prompt. `success`, `magnitude` and
`correct` are about the new object on rewrite and paraphrase prompts, about the true one on neighbors. `kl` is
KL(unedited || edited), `kl_reversed` KL(edited || unedited), both in nats; `kl_released` is `kl_reversed` over the size
of the vocabulary, as the released code of 2305.17553 has it; null where the prompt is no neighbor's. `generated` is
what the model writes after rewrite and paraphrase prompts, `generated_correct` whether that begins with the new object.
"""
SPARE_TOKENS: Final = 4
"""That are written beyond the new object's, which may be written in other tokens than it is encoded in."""


@dataclass(frozen=True, slots=True)
class CasePrompt:
    """A prompt, and the object that is right after it where the edit does as it should."""

    kind: Kind
    index: int
    text: str
    true: str

    @property
    def asks_new(self) -> bool:
        """Whether the new object is right."""
        return self.kind in ("rewrite", "paraphrase")


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Scores of a case at a moment."""

    rows: pl.DataFrame
    """See `SCORES_SCHEMA`."""
    distributions: Tensor
    """Log-probabilities of the next token after neighbors' prompts, plain ones first, fp32 [prompts, vocabulary]."""


def case_prompts(case: EditCase) -> list[CasePrompt]:
    """Every prompt that a case is scored on."""
    texts: dict[Kind, Sequence[str]] = {
        "rewrite": (case.rewrite,),
        "paraphrase": case.paraphrases,
        "neighborhood": case.neighbors,
        "neighborhood_plus": case.plus_neighbors,
    }
    return [
        CasePrompt(kind, at, text, case.target_true if kind in ("rewrite", "paraphrase") else case.neighbor_target)
        for kind, some in texts.items()
        for at, text in enumerate(some)
    ]


def case_pairs(tokenizer: PreTrainedTokenizerBase, case: EditCase) -> list[TokenPair]:
    """Token ids of every prompt of a case with the new object, then with the true one.

    Raises:
        ValueError: An object does not begin with a token of its own.
    """
    return [
        encoded_pair(tokenizer, prompt.text, f" {target}")
        for prompt in case_prompts(case)
        for target in (case.target_new, prompt.true)
    ]


def known_objects(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    cases: Sequence[EditCase],
    settings: ScorerSettings | None = None,
) -> float:
    """Share of cases whose true object is the likeliest after the prompt, token by token.

    Raises:
        ValueError: As `score_case`.
    """
    pairs = [encoded_pair(tokenizer, case.rewrite, f" {case.target_true}") for case in cases]
    return float(scored(model, pairs, settings).greedy.mean())


def score_case(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    case: EditCase,
    moment: str,
    unedited: Tensor | None = None,
    settings: ScorerSettings | None = None,
) -> CaseScores:
    """Score a case.

    Args:
        model: The model, edited or not.
        tokenizer: Its tokenizer.
        case: What is asked.
        moment: What the rows say of when it is.
        unedited: `distributions` of the unedited model; None where this is that model.
        settings: Of the scorer.

    Raises:
        ValueError: The tokenizer has no token that begins an object after its prompt, or a prompt is too long.
    """
    prompts = case_prompts(case)
    pairs = case_pairs(tokenizer, case)
    found = scored(model, pairs, settings)
    nll = (-found.log_likelihood / found.tokens).reshape(-1, 2)
    greedy = found.greedy.reshape(-1, 2)
    asks_new = np.array([prompt.asks_new for prompt in prompts])
    contexts = [pair.context for pair in pairs[::2]]
    beside = [contexts[at] for at in np.flatnonzero(~asks_new)]
    now = _distributions(model, beside, settings)
    texts = _generated(model, tokenizer, [one for one, new in zip(contexts, asks_new, strict=True) if new], pairs[0])
    moved = divergences(now if unedited is None else unedited, now).cpu().numpy()
    right, wrong = np.where(asks_new, nll.T, nll.T[::-1])
    columns = {
        "case_id": [case.case_id] * len(prompts),
        "moment": [moment] * len(prompts),
        "kind": [prompt.kind for prompt in prompts],
        "index": [prompt.index for prompt in prompts],
        "nll_new": nll[:, 0],
        "nll_true": nll[:, 1],
        "success": right < wrong,
        "magnitude": np.exp(-right) - np.exp(-wrong),
        "correct": np.where(asks_new, greedy[:, 0], greedy[:, 1]),
        **{name: _spread(of.tolist(), ~asks_new) for name, of in zip(DIVERGENCES, moved, strict=True)},
        "generated": _spread(texts, asks_new),
        "generated_correct": _spread([begins_with(text, case.target_new) for text in texts], asks_new),
    }
    return CaseScores(pl.DataFrame(columns, schema=SCORES_SCHEMA), now)


def begins_with(text: str, target: str) -> bool:
    """Whether a text begins with a target, which no letter or digit follows."""
    return re.match(rf"\s*{re.escape(target)}(?!\w)", text) is not None


def _distributions(
    model: PreTrainedModel, contexts: Sequence[tuple[int, ...]], settings: ScorerSettings | None
) -> Tensor:
    parts = list(last_log_probabilities(model, contexts, settings))
    if not parts:
        return torch.empty((0, 1))
    rows = torch.from_numpy(np.concatenate([rows for rows, _ in parts]))
    return torch.cat([part for _, part in parts])[torch.argsort(rows).to(model.device)]


def _generated(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[tuple[int, ...]],
    new: TokenPair,
) -> list[str]:
    """What a model goes on with, greedily, for about as many tokens as the new object has."""
    ids = padded_batch([np.array(one, dtype=np.int32) for one in contexts], padding_id(tokenizer), left=True)
    most = torch.full((len(contexts),), len(new.continuation) + SPARE_TOKENS)
    with evaluating(model):
        return sample_completions(model, tokenizer, ids, most, temperature=0).texts(tokenizer)


def _spread(values: Sequence[Any], where: NDArray[np.bool_]) -> list[Any]:
    """Values where they belong, null elsewhere."""
    left = iter(values)
    return [next(left) if here else None for here in where]
