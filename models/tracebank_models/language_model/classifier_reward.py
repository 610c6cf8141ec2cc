"""The reward of a sequence classifier or reward model of `transformers`: what it is given is the response alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tracebank_models.checked_settings import settings_hash
from tracebank_models.device import resolved_device

from .fingerprint import weights_hash
from .text_limits import context_length
from .tokenizer import padding_id, tokenizer_hash

if TYPE_CHECKING:
    from .rewards import ClassifierEntry


@dataclass(frozen=True, slots=True)
class ClassifierReward:
    """A loaded classifier as a function of texts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    entry: ClassifierEntry
    label: int
    """Number of the logit."""

    def content_hash(self) -> str:
        """Hash of weights, tokenizer, label, scale and limits."""
        entry = self.entry
        settings = (self.label, entry.scale, entry.clip, entry.max_tokens)
        return settings_hash(weights_hash(self.model), tokenizer_hash(self.tokenizer), *settings)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], /) -> npt.NDArray[np.float64]:
        """Rewards, shape [len(texts)]."""
        size = self.entry.batch_size
        found = [self._scores(texts[at : at + size]) for at in range(0, len(texts), size)]
        scores = np.concatenate([np.empty(0), *found])
        return np.clip(scores / self.entry.scale, -self.entry.clip, self.entry.clip)

    def _scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        # A response may be empty, and a row without a token has no last one to score.
        given = [text or " " for text in texts]
        limit = min(self.entry.max_tokens, context_length(self.model) or self.entry.max_tokens)
        batch = self.tokenizer(given, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        known = {name: batch[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        logits = self.model(**known).logits.float().cpu()
        chosen = logits[:, self.label]
        if logits.shape[1] > 1:
            others = [index for index in range(logits.shape[1]) if index != self.label]
            chosen = chosen - torch.logsumexp(logits[:, others], dim=1)
        return np.asarray(chosen.double().numpy(), dtype=np.float64)


def load_classifier_reward(entry: ClassifierEntry, device: str = "auto") -> ClassifierReward:
    """Load a classifier, its weights only: code of the Hub is not run.

    Raises:
        ValueError: It cannot be loaded, a head is missing from its weights, or it has no such label.
    """
    named = entry.model
    try:
        tokenizer = AutoTokenizer.from_pretrained(named, revision=entry.revision)
        model, told = AutoModelForSequenceClassification.from_pretrained(
            named, revision=entry.revision, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"reward: {named!r} cannot be loaded ({str(error).splitlines()[0]})") from None
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"reward: {named!r} has no weights for {missing[0]}; allowed: a model trained to classify")
    model.config.pad_token_id = padding_id(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return ClassifierReward(model.eval().to(resolved_device(device)), tokenizer, entry, _label(model, entry))


def _label(model: PreTrainedModel, entry: ClassifierEntry) -> int:
    labels = {str(name): int(number) for number, name in (model.config.id2label or {}).items()}
    if entry.label is None and len(labels) == 1:
        return 0
    if entry.label not in labels:
        allowed = ", ".join(labels)
        raise ValueError(f"reward: label {entry.label!r} of {entry.model!r} is not known; allowed: {allowed}")
    return labels[entry.label]
