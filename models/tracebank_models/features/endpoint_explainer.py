"""Explanations by any endpoint that speaks OpenAI's chat completions: explain, relate to the target, detect.

Prompt and answer are kept with their hash. The key is read from the environment when it is needed and never kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

_DETECT = re.compile(r"\[[01,\s]*\]")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and what came back."""

    model: str
    prompt: str
    answer: str

    @property
    def hash(self) -> str:
        """SHA-256 of model, prompt and answer."""
        return hashlib.sha256(json.dumps([self.model, self.prompt, self.answer]).encode()).hexdigest()


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


class EndpointExplainer:
    """A model behind an endpoint that is asked about features."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        """Name the endpoint; nothing is asked yet.

        Args:
            url: Up to and without `/chat/completions`, for example `http://localhost:8000/v1`.
            model: The endpoint's name of the model.
            key_variable: Environment variable that holds the key; where it is not set, no key is sent.
            timeout: Seconds for an answer.
            retries: Times that an answer 429 or 5xx, or no connection, is tried again, with growing waits.

        Raises:
            ValueError: The URL is none of http or https.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url: {url!r} is not allowed: one that begins with http:// or https://")
        self.url, self.model, self._key_variable = url.rstrip("/"), model, key_variable
        again = urllib3.Retry(
            retries, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, backoff_factor=0.2
        )
        self._pool = urllib3.PoolManager(timeout=timeout, retries=again)

    def ask(self, prompt: str) -> Exchange:
        """Ask at temperature 0.

        Raises:
            ValueError: There is no answer, or it is none of a chat completion.
        """
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._key_variable):
            headers["Authorization"] = f"Bearer {key}"
        body = {"model": self.model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
        target = f"{self.url}/chat/completions"
        try:
            response = self._pool.request("POST", target, body=json.dumps(body), headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ValueError(f"endpoint: {target} gave no answer ({type(error).__name__})") from None
        if response.status != 200:
            raise ValueError(f"endpoint: {target} answered {response.status}: allowed is 200")
        return Exchange(self.model, prompt, _content(response.data, target))

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


def _content(data: bytes, target: str) -> str:
    try:
        found: Any = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"endpoint: {target} answered {data[:80]!r}: allowed is a chat completion with a text")
    return found


def read_flags(answer: str, count: int) -> list[bool] | None:
    """So many digits, 0 or 1, out of an answer that is a JSON list of them; None where it is none."""
    match = _DETECT.search(answer)
    flags = re.findall(r"[01]", match[0]) if match else []
    return [flag == "1" for flag in flags] if len(flags) == count else None
