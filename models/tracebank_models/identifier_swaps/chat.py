"""The chat protocol: a model behind an endpoint is shown both programs, in both orders, and says which is right.

The first whole number in an answer counts; an answer without 1 or 2 is invalid, and wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import polars as pl

from tracebank_models.chat_endpoint import ChatEndpoint

from .examples import SwapExample

SYSTEM: Final = "You are a helpful assistant."
ORDERS: Final = ("good_first", "bad_first")
ANSWERS_SCHEMA: Final = {
    "example": pl.String,
    "order": pl.String,
    "function": pl.String,
    "model": pl.String,
    "answer": pl.String,
    "exchange_hash": pl.String,
    "chosen": pl.Int64,
    "valid": pl.Boolean,
    "correct": pl.Boolean,
}
"""Columns of an answer; `chosen` is the program that the answer names, null where it names none of both."""
_NUMBER: Final = re.compile(r"-?\d+")


def chat_prompt(example: SwapExample, order: str) -> str:
    """The question about an example.

    Raises:
        ValueError: The order is unknown.
    """
    if order not in ORDERS:
        raise ValueError(f"order: {order!r} is not allowed; allowed: {', '.join(ORDERS)}")
    bodies = (example.good, example.bad) if order == ORDERS[0] else (example.bad, example.good)
    programs = "\n\n".join(
        f"Program {number}:\n```python\n{example.prompt}{body.rstrip()}\n```" for number, body in enumerate(bodies, 1)
    )
    return (
        f"Here are two Python programs.\n\n{programs}\n\nWhich of them is more likely to be correct?"
        " Answer with the number of the program, 1 or 2, and nothing else."
    )


def chat_answers(
    client: ChatEndpoint,
    examples: Iterable[SwapExample],
    done: Collection[tuple[str, str]] = (),
    at_once: int = 4,
) -> Iterator[pl.DataFrame]:
    """Ask about examples in both orders, a row each as answers come.

    Nothing is cut to a context: functions of the dataset are far shorter than those of today's endpoints.

    Args:
        client: Of the endpoint.
        examples: What is asked about.
        done: Keys (example, order) that are answered already, and are left out.
        at_once: Questions that are on their way at the same time.

    Yields:
        Frames of `ANSWERS_SCHEMA`, at most `at_once` rows each.

    Raises:
        ValueError: There is no answer; what came before it was yielded.
    """
    left_out = set(done)
    asked = [(one, order) for one in examples for order in ORDERS if (one.example, order) not in left_out]
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(0, len(asked), at_once):
            rows = pool.map(lambda one: _answer(client, *one), asked[start : start + at_once])
            yield pl.DataFrame(list(rows), schema=ANSWERS_SCHEMA, orient="row")


def _answer(client: ChatEndpoint, example: SwapExample, order: str) -> tuple[object, ...]:
    exchange = client.ask(chat_prompt(example, order), SYSTEM, may_be_empty=True)
    match = _NUMBER.search(exchange.answer)
    chosen = int(match[0]) if match and match[0] in ("1", "2") else None
    correct = chosen == ORDERS.index(order) + 1
    keys = (example.example, order, example.function, exchange.model, exchange.answer, exchange.hash)
    return (*keys, chosen, chosen is not None, correct)
