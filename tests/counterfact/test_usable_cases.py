"""Cases that a tokenizer or a context is too small for are one line each, before a run."""

from __future__ import annotations

import dataclasses

from tests.counterfact.cases import byte_model, case
from tests.tiny_models import byte_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tracebank_models.counterfact.usable_cases import usable_cases


def _merging_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and one token for an "s" with a blank after it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "sĠ"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("s", "Ġ")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|padding|>")


def test_what_fits_is_kept_and_what_does_not_is_a_line() -> None:
    model = byte_model()
    long = dataclasses.replace(case(3), neighbors=("The native language " * 7,))
    found = usable_cases(model, byte_tokenizer(), [case(1), long])
    assert [one.case_id for one in found.cases] == [1]
    assert found.refused.rows() == [
        (1, "3", "case 3: prompts: the longest has 190 tokens with its object; allowed: 160, the context")
    ]


def test_a_tokenizer_that_splits_an_object_away_is_a_line() -> None:
    found = usable_cases(byte_model(), _merging_tokenizer(), [case(1, "Ada Moon")])
    assert found.cases == []
    problem = found.refused["problem"].item()
    assert problem.startswith("case 1: target: 'Latin' is split away by this tokenizer")
    assert "\n" not in problem
