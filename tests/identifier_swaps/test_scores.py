"""Scores under conditions: the metric, the boundary, what is left out, and what has no numbers."""

from __future__ import annotations

import dataclasses
import math

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from tests.tiny_models import byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.identifier_swaps.conditions import CONDITIONS, condition_text
from tracebank_models.identifier_swaps.examples import SwapExample, is_python
from tracebank_models.identifier_swaps.scores import SCORES_SCHEMA, SwapScoreSettings, swap_scores
from tracebank_models.language_model.architecture import ModelSize, build_model

Model = tuple[GPTNeoXForCausalLM, PreTrainedTokenizerFast]


@pytest.fixture(scope="module")
def scored(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: list[SwapExample]) -> pl.DataFrame:
    return pl.concat(swap_scores(model, tokenizer, examples, SwapScoreSettings(rows=7)))


def _log_likelihood(model: GPTNeoXForCausalLM, ids: list[int], since: int) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    chosen = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return float(chosen[since - 1 :].sum())


def test_conditions_change_the_first_line_alone(examples: list[SwapExample]) -> None:
    one = examples[0]
    line, header = one.prompt.split("\n", 1)
    texts = {condition: condition_text(one, condition) for condition in CONDITIONS}
    assert texts["swap"].prompt == one.prompt
    assert texts["no_swap"].prompt == header
    assert texts["twice"].prompt == f"{line}\n{line}\n{header}"
    assert texts["alias"].prompt == f"a, b = {one.first}, {one.second}\n{header}"
    unrelated = texts["unrelated"].prompt
    assert unrelated.split("\n", 1)[1] == header
    first, second = unrelated.split(" = ")[0].split(", ")
    assert unrelated.startswith(f"{first}, {second} = {second}, {first}\n")
    assert not {first, second} & set((one.prompt + one.good).replace("(", " ").split())
    assert condition_text(one, "unrelated") == texts["unrelated"], "the same each time"
    assert {name: text.right for name, text in texts.items() if text.right != "original"} == {"swap": "exchanged"}
    assert all(is_python(text.prompt + body) for text in texts.values() for body in (one.good, one.bad))
    taken = dataclasses.replace(one, bad=f"{one.bad}    a, b1 = 1, 2\n")
    assert condition_text(taken, "alias").prompt.startswith("a2, b2 = ")
    with pytest.raises(ValueError, match=r"^condition: 'none' is not allowed; allowed: swap, no_swap"):
        condition_text(one, "none")  # type: ignore[arg-type]


def test_the_metric_is_the_papers(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: list[SwapExample], scored: pl.DataFrame
) -> None:
    keys = {(one.example, condition) for one in examples for condition in CONDITIONS}
    assert set(scored.select("example", "condition").iter_rows()) == keys
    assert len(scored) == len(keys)
    one = examples[0]
    for condition in ("swap", "twice"):
        row = scored.row(
            by_predicate=(pl.col("example") == one.example) & (pl.col("condition") == condition), named=True
        )
        prompt = tokenizer(condition_text(one, condition).prompt)["input_ids"]
        bodies = [tokenizer(body)["input_ids"] for body in (one.bad, one.good)]
        original, exchanged = (_log_likelihood(model, prompt + body, len(prompt)) for body in bodies)
        assert row["original_log_likelihood"] == pytest.approx(original, abs=1e-3)
        assert row["exchanged_log_likelihood"] == pytest.approx(exchanged, abs=1e-3)
        assert row["prompt_log_likelihood"] == pytest.approx(_log_likelihood(model, prompt, 1), abs=1e-3)
        assert (row["prompt_tokens"], row["original_tokens"], row["exchanged_tokens"]) == (
            len(prompt), len(bodies[0]), len(bodies[1])
        )  # fmt: skip
        sign = 1 if condition == "swap" else -1
        assert row["loss"] == pytest.approx(math.log1p(math.exp(sign * (original - exchanged))), abs=1e-3)
        gap = original / len(bodies[0]) - exchanged / len(bodies[1])
        assert row["normalised_loss"] == pytest.approx(math.log1p(math.exp(sign * gap)), abs=1e-4)
        assert row["correct"] == (sign * (original - exchanged) < 0)
        total = math.log(math.exp(original - exchanged) + 1) + exchanged
        assert row["total_log_probability"] == pytest.approx(total, abs=1e-3)
    assert scored["correct"].n_unique() == 2


def test_what_prompt_and_body_have_together_is_the_sum(scored: pl.DataFrame) -> None:
    for body in ("original", "exchanged"):
        parts = pl.col("prompt_log_likelihood") + pl.col(f"{body}_log_likelihood")
        off = scored.select((pl.col(f"joint_{body}_log_likelihood") - parts).abs().max()).item()
        assert off < 1e-3
    assert scored["reason"].null_count() == len(scored)


def test_what_is_done_is_left_out_and_frames_do_not_matter(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: list[SwapExample], scored: pl.DataFrame
) -> None:
    frames = swap_scores(model, tokenizer, examples, SwapScoreSettings(rows=7))
    first = next(frames)
    assert len(first) == 7
    done = list(first.select("example", "condition").iter_rows())
    rest = pl.concat(swap_scores(model, tokenizer, reversed(examples), SwapScoreSettings(rows=3), done))
    assert_frame_equal(pl.concat([first, rest]), scored, check_row_order=False, abs_tol=1e-4)
    light = pl.concat(swap_scores(model, tokenizer, examples, SwapScoreSettings(joint=False)))
    assert light["joint_original_log_likelihood"].null_count() == len(light)
    assert_frame_equal(light.select("example", "condition", "loss"), scored.select("example", "condition", "loss"),
                       check_row_order=False, abs_tol=1e-4)  # fmt: skip
    everything = scored.select("example", "condition").iter_rows()
    assert list(swap_scores(model, tokenizer, examples, done=list(everything))) == []


def test_what_is_longer_than_the_context_is_a_row_with_its_reason(
    tokenizer: PreTrainedTokenizerFast, examples: list[SwapExample]
) -> None:
    lengths = {
        one.example: len(tokenizer(one.prompt + max(one.good, one.bad, key=len))["input_ids"]) for one in examples
    }
    limit = sorted(lengths.values())[len(lengths) // 2]
    size = ModelSize(hidden_size=32, layers=1, attention_heads=4, vocabulary_size=330, context_length=limit)
    short = build_model(size, tokenizer)
    found = pl.concat(swap_scores(short, tokenizer, examples, SwapScoreSettings(conditions=("swap",))))
    reasons = dict(found.select("example", "reason").iter_rows())
    assert reasons == {name: "longer_than_context" if length - 1 > limit else None for name, length in lengths.items()}
    long = found.filter(pl.col("reason").is_not_null())
    assert 0 < len(long) < len(found)
    assert long["prompt_tokens"].null_count() == 0
    numbers = [name for name in SCORES_SCHEMA if name.endswith(("likelihood", "loss", "correct", "probability"))]
    assert long.select(numbers).null_count().row(0) == (len(long),) * len(numbers)


def test_a_token_of_prompt_and_body_at_once_is_a_row_with_its_reason(
    model: GPTNeoXForCausalLM, examples: list[SwapExample]
) -> None:
    plain = byte_tokenizer()
    joined = Tokenizer(models.BPE(vocab=plain.get_vocab() | {'"Ġ': 300}, merges=[('"', "Ġ")]))
    joined.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    joined.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=joined, pad_token="<|padding|>")
    (found,) = swap_scores(model, tokenizer, examples[:1], SwapScoreSettings(conditions=("swap",)))
    assert found["reason"].to_list() == ["token_across_boundary"]
    assert found["loss"].to_list() == [None]


def test_settings_that_are_not_allowed_are_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"^SwapScoreSettings\.conditions: \('swop',\) is not allowed; allowed: one or mo"
    ):
        SwapScoreSettings(conditions=("swop",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^SwapScoreSettings\.rows: 0 is not allowed"):
        SwapScoreSettings(rows=0)
