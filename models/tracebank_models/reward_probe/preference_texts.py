"""Pairs of sampled answers as texts, for the probe that is to tell the preferred from the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tracebank_models.language_model.direct_preference import PreferencePair


def preference_texts(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[PreferencePair]) -> list[str]:
    """Prompt and answer of each pair: first with every chosen answer, then, in the same order, with every rejected one.

    The prompt is part of the text, as in 2310.08164: it is the same on both sides and tells nothing.
    """
    chosen = [[*pair.prompt, *pair.chosen] for pair in pairs]
    rejected = [[*pair.prompt, *pair.rejected] for pair in pairs]
    return [str(text) for text in tokenizer.batch_decode([*chosen, *rejected], skip_special_tokens=True)]
