"""Runs of edits on a model that is not trained: which rows come, each once, and whether the weights come back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.counterfact.cases import byte_model, case
from tests.tiny_models import byte_tokenizer
from transformers import PreTrainedModel

from tracebank_models.counterfact.edit_setup import EditSetup
from tracebank_models.counterfact.layer_choice import LayerChoice, chosen_layer
from tracebank_models.counterfact.records import EditCase
from tracebank_models.counterfact.runs import FinishedRows, sequential_edits, single_edits
from tracebank_models.counterfact.summary import summarise
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.rank_one import RankOne
from tracebank_models.model_editing.second_moments import second_moments
from tracebank_models.model_editing.settings import FineTuningSettings, RankOneSettings
from tracebank_models.model_editing.value_search import SearchSettings

TOKENIZER = byte_tokenizer()
NAMES = ("Ada Moss", "Bo Lee", "Cy Day")


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return byte_model()


def _rome(model: PreTrainedModel) -> EditSetup:
    settings = RankOneSettings(0, SearchSettings(steps=3, clamp=50.0, weight_decay=0.0), moment_ridge=1e-2)
    moments = second_moments(model, TOKENIZER, ["Some text of the world.", "Ada Moss met Bo Lee."], [0])
    return EditSetup(model, TOKENIZER, EDITORS["rome"](settings), moments, ("It rained. ",), chosen_layer({0: [0.1]}))


def _fine_tuning(model: PreTrainedModel) -> EditSetup:
    return EditSetup(model, TOKENIZER, EDITORS["ft_l"](FineTuningSettings(radius=0.05, rate=5e-3, steps=5)))


def _cases(count: int) -> list[EditCase]:
    return [case(number, f"{NAMES[number % 3]} {number}") for number in range(count)]


def _rows(found: Iterator[FinishedRows], name: str) -> pl.DataFrame:
    return pl.concat([getattr(one, name) for one in found])


def test_single_edits_start_from_the_same_weights_and_go_on_where_they_stopped(model: PreTrainedModel) -> None:
    cases, was = _cases(3), weights_hash(model)
    found = list(single_edits(_rome(model), cases))
    assert weights_hash(model) == was
    scores, edits = _rows(iter(found), "scores"), _rows(iter(found), "edits")
    assert scores.group_by("case_id", "moment").len()["len"].to_list() == [7] * 6
    assert edits["case_id"].to_list() == [0, 1, 2]
    assert edits["order"].to_list() == [0, 0, 0]
    assert edits.select("editor", "layers", "chosen_layer", "chosen_loss").row(0) == ("rome", "0", 0, 0.1)
    assert edits.select(pl.col("value_loss", "change_norm", "key_product", "residual").null_count()).row(0) == (0,) * 4
    moved = scores.filter(pl.col("kind") == "neighborhood").group_by("moment").agg(pl.col("kl").max())
    assert dict(moved.iter_rows())["unedited"] == 0 < dict(moved.iter_rows())["after_edit"]
    backwards = list(single_edits(_rome(model), cases[::-1], done={1}, together=1))
    assert [one.edits["case_id"].item() for one in backwards] == [2, 0]
    for one, other in zip(backwards, (found[2], found[0]), strict=True):
        assert_frame_equal(one.scores, other.scores, abs_tol=1e-4)
    assert summarise(scores, draws=10)["moment"].unique().sort().to_list() == ["after_edit", "unedited"]


def test_weights_come_back_where_a_run_is_left_in_the_middle(model: PreTrainedModel) -> None:
    was = weights_hash(model)
    for run in (single_edits, sequential_edits):
        rows = iter(run(_fine_tuning(model), _cases(2)))  # type: ignore[operator]
        for _ in range(2 if run is single_edits else 3):
            next(rows)
        rows.close()
        assert weights_hash(model) == was


def test_an_edit_that_raises_leaves_the_weights_as_they_were(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = weights_hash(model)
    apply = RankOne.apply

    def failing(*given: object, **named: object) -> None:
        apply(*given, **named)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(RankOne, "apply", failing)
    for run in (single_edits, sequential_edits):
        with pytest.raises(KeyboardInterrupt):
            list(run(_rome(model), _cases(1)))  # type: ignore[operator]
        assert weights_hash(model) == was


@pytest.mark.parametrize("together", [1, 4])
def test_sequential_edits_are_scored_at_every_moment_and_again_exactly(model: PreTrainedModel, together: int) -> None:
    cases, was = _cases(11), weights_hash(model)
    found = list(sequential_edits(_fine_tuning(model), cases, together=together))
    assert weights_hash(model) == was
    moments = [(one.scores["moment"][0], one.scores["case_id"][0]) for one in found]
    ten = moments.index(("after_ten_times", 0))
    assert moments[:11] == [("unedited", number) for number in range(11)]
    assert [one for one in moments[11:-11] if one[0] == "after_edit"] == [("after_edit", at) for at in range(11)]
    assert moments[ten - 1] == ("after_edit", 9 if together == 1 else 10)
    assert moments[-11:] == [("end", number) for number in range(11)]
    assert len(moments) == 34
    edits = _rows(iter(found), "edits")
    assert edits["order"].to_list() == edits["case_id"].to_list() == list(range(11))
    assert edits["weight_norm"].n_unique() > 1
    after = {moment: one.scores for moment, one in zip(moments, found, strict=True)}
    assert after["after_edit", 0]["nll_new"][0] != after["end", 0]["nll_new"][0]
    done = {(number, moment) for moment, number in moments[:15]}
    again = list(sequential_edits(_fine_tuning(model), cases, done, together))
    assert len(again) == len(found) - 15
    for one, other in zip(again, found[15:], strict=True):
        assert_frame_equal(one.scores, other.scores, check_exact=True)
        assert_frame_equal(one.edits.drop("seconds"), other.edits.drop("seconds"), check_exact=True)
    assert list(sequential_edits(_fine_tuning(model), cases, {(number, m) for m, number in moments}, together)) == []


def test_the_layer_of_the_smallest_median_is_chosen() -> None:
    found = chosen_layer({1: [0.2, 9.0, 0.3], 0: [math.nan, 0.4, 0.1], 2: [0.1, 5.0, 6.0]})
    assert (found.layer, found.loss, found.facts) == (1, 0.3, 3)
    assert found.losses == {0: 0.4, 1: 0.3, 2: 5.0}
    found.check()


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        (None, r"^choice: none is not allowed with rome; allowed: chosen_layer"),
        (
            chosen_layer({0: [2.5], 1: [3.0]}),
            r"^layer: v\* leaves 2.5 nats in the best layer, 0, over 1 facts;",
        ),
        (chosen_layer({0: [math.nan]}), r"^layer: v\* leaves inf nats in the best layer"),
        (chosen_layer({1: [0.1]}), r"^layers: \[0\] is not allowed; allowed: layers that end with the chosen one, 1$"),
    ],
)
def test_a_run_does_not_begin_where_no_layer_is_good_enough(
    model: PreTrainedModel, choice: LayerChoice | None, line: str
) -> None:
    setup = dataclasses.replace(_rome(model), choice=choice)
    for run in (single_edits, sequential_edits):
        with pytest.raises(ValueError, match=line):
            list(run(setup, _cases(1)))  # type: ignore[operator]


def test_fine_tuning_searches_no_values_and_needs_no_choice(model: PreTrainedModel) -> None:
    found = list(single_edits(_fine_tuning(model), _cases(1)))
    assert found[0].edits.select("chosen_layer", "chosen_loss").row(0) == (None, None)
