"""Explanations by any endpoint that speaks OpenAI's chat completions: explain, relate to the target, detect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tracebank_models.chat_endpoint import ChatEndpoint, Exchange

_DETECT = re.compile(r"\[[01,\s]*\]")


@dataclass(frozen=True, slots=True)
class ExampleText:
    """A text and the activation of the feature on each of its tokens."""

    tokens: Sequence[str]
    activations: Sequence[float]


@dataclass(frozen=True, slots=True)
class DetectionScore:
    """How well an explanation tells texts that the feature fires on from others."""

    precision: float
    recall: float
    f1: float
    accuracy: float
    """Mean of the shares that it is right about of texts that fire and of those that do not: guessing gives a half."""
    exchange: Exchange


class EndpointExplainer(ChatEndpoint):
    """A model behind an endpoint that is asked about features."""

    def explain(self, examples: Sequence[ExampleText]) -> Exchange:
        """Ask for one sentence that says what a feature fires on; the answer is the explanation.

        Raises:
            ValueError: There is no example, or it never fires in them.
        """
        return self.ask(explanation_prompt(examples))

    def related(self, explanation: str, target: str) -> tuple[bool, Exchange]:
        """Ask whether an explanation has to do with what tuning was for.

        Raises:
            ValueError: The answer is neither 1 nor 0.
        """
        exchange = self.ask(
            f"A feature of a language model is described so: {explanation}\nIs that related to {target}?"
            " Answer with the single digit 1 for yes or 0 for no."
        )
        answer = exchange.answer.strip().rstrip(".")
        if answer not in ("0", "1"):
            raise ValueError(f"answer: {exchange.answer[:60]!r} is not allowed: 1 or 0")
        return answer == "1", exchange

    def detect(self, explanation: str, texts: Sequence[str], fires: Sequence[bool]) -> DetectionScore:
        """Score an explanation: which of these texts should the feature fire on, and on which does it?

        Raises:
            ValueError: The answer is no list of a 0 or 1 for each text, or it fires on none of them or on all.
        """
        if len(texts) != len(fires) or not any(fires) or all(fires):
            raise ValueError(
                f"texts: {len(texts)} with {sum(fires)} of {len(fires)} firing: allowed is a flag each, not all alike"
            )
        listed = "\n".join(f"{number}. {text!r}" for number, text in enumerate(texts, 1))
        exchange = self.ask(
            f"A feature of a language model is described so: {explanation}\nOn which of these does it fire?\n"
            f"{listed}\nAnswer with a JSON list of {len(texts)} digits, 1 where it fires, 0 where not; nothing else."
        )
        called = read_flags(exchange.answer, len(texts))
        if called is None:
            raise ValueError(
                f"answer: {exchange.answer[:60]!r} is not allowed: a JSON list of {len(texts)} digits, 0 or 1"
            )
        hits = sum(c and f for c, f in zip(called, fires, strict=True))
        refusals = sum(not c and not f for c, f in zip(called, fires, strict=True))
        return DetectionScore(
            precision=hits / max(sum(called), 1),
            recall=hits / sum(fires),
            f1=2 * hits / (sum(called) + sum(fires)),
            accuracy=(hits / sum(fires) + refusals / (len(fires) - sum(fires))) / 2,
            exchange=exchange,
        )


def explanation_prompt(examples: Sequence[ExampleText]) -> str:
    """The question for an explanation, with activations rectified and scaled to whole numbers from 0 to 10.

    Where less than a fifth of a text's tokens fire, those that do are named again after it (2310.08164).

    Raises:
        ValueError: There is no example, or the feature never fires in them.
    """
    largest = max((value for example in examples for value in example.activations), default=0.0)
    if not largest > 0:
        raise ValueError(f"examples: {len(examples)} in which the feature never fires: it has to fire once at least")
    parts = []
    for number, example in enumerate(examples, 1):
        scaled = [round(10 * max(value, 0.0) / largest) for value in example.activations]
        pairs = [f"{token!r} {value}" for token, value in zip(example.tokens, scaled, strict=True)]
        strong = [pair for pair, value in zip(pairs, scaled, strict=True) if value]
        parts.append(f"Text {number}: " + ", ".join(pairs))
        if len(strong) < len(pairs) / 5:
            parts.append(f"Tokens of text {number} that it fires on: " + ", ".join(strong))
    return (
        "A feature of a language model fires on some tokens. Here are texts, each token with the feature's activation"
        " from 0 to 10.\n" + "\n".join(parts) + "\nSay in one short sentence what the feature fires on."
    )


def read_flags(answer: str, count: int) -> list[bool] | None:
    """So many digits, 0 or 1, out of an answer that is a JSON list of them; None where it is none."""
    match = _DETECT.search(answer)
    flags = re.findall(r"[01]", match[0]) if match else []
    return [flag == "1" for flag in flags] if len(flags) == count else None
