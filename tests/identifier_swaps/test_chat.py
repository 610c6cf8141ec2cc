"""The chat protocol against a double of an endpoint."""

from __future__ import annotations

import polars as pl
import pytest
from tests.endpoint_double import Double

from tracebank_models.chat_endpoint import ChatEndpoint
from tracebank_models.identifier_swaps.chat import ANSWERS_SCHEMA, ORDERS, chat_answers, chat_prompt
from tracebank_models.identifier_swaps.examples import SwapExample


def test_both_orders_are_asked_at_temperature_0(double: Double, examples: list[SwapExample]) -> None:
    one = examples[0]
    double.judge = lambda _: "Program 2."
    found = pl.concat(chat_answers(ChatEndpoint(double.url, "some-model"), [one], at_once=1))
    bodies = [body for _, _, body in double.asked]
    assert {body["temperature"] for body in bodies} == {0}
    assert [body["messages"][0] for body in bodies] == [
        {"role": "system", "content": "You are a helpful assistant."}
    ] * 2  # fmt: skip
    assert [body["messages"][1]["content"] for body in bodies] == [chat_prompt(one, order) for order in ORDERS]
    first = chat_prompt(one, "good_first")
    assert first.index(one.prompt + one.good.rstrip()) < first.index(one.prompt + one.bad.rstrip())
    assert dict(found.schema) == ANSWERS_SCHEMA
    assert found["correct"].to_list() == [False, True]
    assert found["exchange_hash"].n_unique() == 2
    with pytest.raises(ValueError, match=r"^order: 'third' is not allowed; allowed: good_first, bad_first$"):
        chat_prompt(one, "third")


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("1", 1),
        (" 2\n", 2),
        ("Program 1, not 2", 1),
        ("3, then 1", None),
        ("-1", None),
        ("12", None),
        ("both", None),
        ("", None),
    ],
)
def test_the_first_number_counts_and_nothing_else_is_valid(
    double: Double, examples: list[SwapExample], answer: str, chosen: int | None
) -> None:
    double.judge = lambda _: answer
    found = pl.concat(chat_answers(ChatEndpoint(double.url, "m"), examples[:1], at_once=1))
    assert found["chosen"].to_list() == [chosen] * 2
    assert found["valid"].to_list() == [chosen is not None] * 2
    assert found["correct"].to_list() == [chosen == 1, chosen == 2]
    assert found["answer"].to_list() == [answer] * 2


def test_answers_come_in_parts_and_what_is_done_is_left_out(double: Double, examples: list[SwapExample]) -> None:
    double.judge = lambda _: "1"
    client = ChatEndpoint(double.url, "m", retries=0)
    frames = chat_answers(client, examples, at_once=3)
    first = next(frames)
    assert len(first) == 3
    done = list(first.select("example", "order").iter_rows())
    rest = pl.concat(chat_answers(client, examples, done, at_once=2))
    assert {*done, *rest.select("example", "order").iter_rows()} == {
        (one.example, o) for one in examples for o in ORDERS
    }
    assert len(done) + len(rest) == 2 * len(examples)
    double.answers.append((401, {}))
    with pytest.raises(ValueError, match=r"answered 401: allowed is 200$"):
        next(chat_answers(client, examples[:1], at_once=1))
