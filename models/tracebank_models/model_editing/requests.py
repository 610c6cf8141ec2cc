"""What is to be edited, and its texts as token ids in which the subject's last token is known. No model is run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from tracebank_models.checked_settings import require
from tracebank_models.log_likelihood.scorer import TokenPair, encoded_pair

SLOT = "{}"
"""Where the subject stands in a prompt."""


@dataclass(frozen=True, slots=True)
class EditRequest:
    """A fact: after the prompt with the subject in it, the model is to say the target."""

    prompt: str
    """With one `{}`, and no blank at its end."""
    subject: str
    target: str
    """A blank is put before it."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is not allowed; the line names it, its value and what is allowed.
        """
        require(self, "prompt", "a text with one {} for the subject", self.prompt.count(SLOT) == 1)
        require(self, "prompt", "one without a blank at its end", self.prompt == self.prompt.rstrip())
        for name in ("subject", "target"):
            value = getattr(self, name)
            require(self, name, "a text without blanks at its ends", bool(value) and value == value.strip())

    @property
    def text(self) -> str:
        """The prompt with its subject."""
        return self.prompt.replace(SLOT, self.subject)


class LocatedText(NamedTuple):
    """A prompt and its target as token ids."""

    ids: tuple[int, ...]
    subject: int
    """Place of the subject's last token."""
    prompt: int
    """Tokens before the target."""

    @property
    def until_subject(self) -> tuple[int, ...]:
        """What stands up to the subject's last token: nothing later changes what the model has there."""
        return self.ids[: self.subject + 1]

    @property
    def target(self) -> tuple[int, ...]:
        """Ids of the target."""
        return self.ids[self.prompt :]


def located(tokenizer: PreTrainedTokenizerBase, request: EditRequest, prefix: str = "") -> LocatedText:
    """Token ids of a text before the prompt, the prompt and the target.

    Raises:
        ValueError: Subject or target share a token with what stands beside them, or the target is no known token.
    """
    before, after = request.prompt.split(SLOT)
    target = f" {request.target}"
    start = _cut(tokenizer, prefix + before + request.subject, after + target, "subject", request)
    whole = _cut(tokenizer, prefix + request.text, target, "target", request)
    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown in whole.continuation:
        raise ValueError(
            f"target: {request.target!r} has no tokens of its own in this tokenizer (it becomes the unknown token);"
            " allowed: a target that the tokenizer knows"
        )
    return LocatedText(whole.context + whole.continuation, len(start.context) - 1, len(whole.context))


def subject_ids(tokenizer: PreTrainedTokenizerBase, request: EditRequest) -> tuple[int, ...]:
    """Token ids of the subject at the beginning of a text, as in "{} is a".

    Raises:
        ValueError: As `located`.
    """
    return _cut(tokenizer, request.subject, " is a", "subject", request).context


def located_texts(
    tokenizer: PreTrainedTokenizerBase, requests: Sequence[EditRequest], prefixes: Sequence[str]
) -> list[list[LocatedText]]:
    """Of each request, the prompt alone and after every prefix.

    Raises:
        ValueError: As `located`, or there is no request.
    """
    if not requests:
        raise ValueError("requests: none is not allowed; allowed: at least one")
    return [[located(tokenizer, one, prefix) for prefix in ("", *prefixes)] for one in requests]


def _cut(tokenizer: PreTrainedTokenizerBase, first: str, second: str, name: str, request: EditRequest) -> TokenPair:
    try:
        return encoded_pair(tokenizer, first, second)
    except ValueError:
        value, where = getattr(request, name), f"{first[-20:]!r} and {second[:20]!r}"
        raise ValueError(
            f"{name}: {value!r} is split away by this tokenizer, as one token reaches over {where};"
            " allowed: words that blanks or signs divide"
        ) from None
