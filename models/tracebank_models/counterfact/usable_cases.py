"""Cases that a model can be asked about: its tokenizer keeps subjects and objects apart, and its context holds them.

Asked before a run, so that no run ends at its last case for a word of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.text_limits import context_length
from tracebank_models.model_editing.requests import EditRequest, located, subject_ids

from .metrics import SPARE_TOKENS, case_pairs
from .records import REFUSED_SCHEMA, EditCase, ReadCases


def edit_request(case: EditCase) -> EditRequest:
    """What an editor is asked for."""
    return EditRequest(case.prompt, case.subject, case.target_new)


def usable_cases(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cases: Sequence[EditCase]) -> ReadCases:
    """Cases that can be edited into a model and scored, and one line for each other."""
    usable: list[EditCase] = []
    refused: list[tuple[int, str, str]] = []
    for place, case in enumerate(cases):
        try:
            _check(model, tokenizer, case)
            usable.append(case)
        except ValueError as error:
            refused.append((place, str(case.case_id), f"case {case.case_id}: {error}"))
    return ReadCases(usable, pl.DataFrame(refused, schema=REFUSED_SCHEMA, orient="row"))


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, case: EditCase) -> None:
    request = edit_request(case)
    located(tokenizer, request)
    subject_ids(tokenizer, request)
    longest = max(len(pair.context) + len(pair.continuation) for pair in case_pairs(tokenizer, case)) + SPARE_TOKENS
    most = context_length(model)
    if most is not None and longest > most:
        raise ValueError(f"prompts: the longest has {longest} tokens with its object; allowed: {most}, the context")
