"""Groups `identifier_swaps` and `model_editing`: rows stand as they come, killed runs go on, runs are compared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select
from tests.evaluations.conftest import Home, records, write_sources
from tests.homes import fault

from tracebank_assets.evaluation import EvalRows, newest_run
from tracebank_assets.evaluations_shown import compared_grids, edits_grid, losses_grid, runs_grid
from tracebank_assets.identifier_swaps.examples import examples
from tracebank_assets.identifier_swaps.scores import scores
from tracebank_assets.identifier_swaps.trends import trends
from tracebank_assets.model_editing.cases import cases
from tracebank_assets.model_editing.edits import edits
from tracebank_assets.model_editing.layers import layers
from tracebank_schemas.evaluation import EvalRun, EvalSample
from tracebank_schemas.identifier_swaps import SwapCount, SwapExample, SwapScore, SwapTrend
from tracebank_schemas.model_editing import Edit, EditCase, EditLayer, EditScore, RefusedCase


def test_swaps_are_scored_once_whatever_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no examples of" in fault(home.make(scores, home.model, **home.small))
    assert home.made(examples, root=home.sources)["both_bodies_are_python"]
    assert home.count(SwapExample) == 8
    before = home.content(SwapExample)
    home.made(examples, root=home.sources)
    assert home.content(SwapExample) == before
    home.made(examples, root=home.sources, documented=False)
    assert home.count(SwapExample) == 16, "another selection stands beside"
    assert home.count(SwapCount) > 10
    write_sources(home.folder / "other" / "sources")
    home.made(examples, root=str(home.folder / "other" / "sources"))
    assert home.count(SwapExample) == 24, "and another folder of that name"

    kept = EvalRows.keep

    def killed(self: EvalRows, rows: Any) -> None:
        kept(self, rows)
        raise RuntimeError("killed")

    config = home.small | {"joint": True}
    with monkeypatch.context() as patch:
        patch.setattr(EvalRows, "keep", killed)
        assert fault(home.make(scores, home.model, **config)).endswith("killed\n")
    begun = home.count(SwapScore)
    assert 0 < begun < 40
    found = home.made(scores, home.model, **config)
    assert found["joint_scores_agree"]
    assert home.count(SwapScore) == 40
    whole = home.content(SwapScore), home.content(EvalSample)
    with monkeypatch.context() as patch:
        patch.setattr(EvalRows, "keep", killed)  # nothing is left to keep
        home.made(scores, home.model, **config)
    assert (home.content(SwapScore), home.content(EvalSample)) == whole
    assert home.count(EvalRun) == 1
    with home.relational.session() as session:
        session.execute(EvalRun.__table__.delete())
    home.made(scores, home.model, **config)
    assert home.content(SwapScore) == whole[0], "an uninterrupted run has the same rows"
    assert losses_grid(home.relational, [home.model]).rows == 5

    assert home.made(trends, models=[home.model])["five_sizes_or_no_trend"]
    with home.relational.reading() as session:
        rows = session.execute(select(SwapTrend.value, SwapTrend.low, SwapTrend.reason)).all()
    assert {(value, low) for value, low, _ in rows} == {(None, None)}
    assert all("a trend needs 5" in str(reason) for _, _, reason in rows)
    assert (home.settings.home / "identifier_swaps" / "code.svg").is_file()
    assert "has no scores" in fault(home.make(trends, models=["unknown"]))


def test_facts_are_edited_scored_and_compared(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = records(8)
    broken = json.loads(json.dumps(facts[0])) | {"case_id": 99}
    broken["requested_rewrite"]["prompt"] = "nobody lives in"
    file, other = home.folder / "facts.json", home.folder / "again.json"
    file.write_text(json.dumps([*facts, broken]))
    other.write_text(json.dumps(facts))
    assert not home.made(cases, dataset=str(file))["every_record_is_a_case"]
    assert (home.count(EditCase), home.count(RefusedCase)) == (8, 1)
    home.made(cases, dataset=str(other))
    assert home.count(EditCase) == 16, "the same facts of another file stand beside"

    rome = f"{home.model}/rome"
    config = {"dataset": str(file), "count": 3}
    assert "has no layer for edits" in fault(home.make(edits, rome, **config))
    choice = {"dataset": str(file), "facts": 5, "documents": 30}
    found = home.made(layers, home.model, **choice, enough=1e-6)
    assert not found["a_layer_says_facts"]
    assert home.count(EditLayer) == 2
    assert "v* leaves" in fault(home.make(edits, rome, **config))
    assert home.count(Edit) == home.count(EditScore) == 0, "no run begins where no layer is good enough"

    home.made(layers, home.model, **choice, enough=1e9)
    home.made(edits, rome, **config)
    assert home.count(Edit) == 3
    kept = EvalRows.keep

    def killed(self: EvalRows, rows: Any) -> None:
        kept(self, rows)
        raise RuntimeError("killed")

    plain = f"{home.model}/ft_l"
    with monkeypatch.context() as patch:
        patch.setattr(EvalRows, "keep", killed)
        assert fault(home.make(edits, plain, **config, radius=0.02)).endswith("killed\n")
    assert home.count(Edit) == 4
    home.made(edits, plain, **config, radius=0.02)
    whole = home.content(Edit), home.content(EditScore)
    run = newest_run(home.relational, "model_editing", home.model, "ft_l")
    assert run is not None
    with home.relational.session() as session:
        session.execute(EvalRun.__table__.delete().where(EvalRun.run == run.run))
    home.made(edits, plain, **config, radius=0.02)
    assert (home.content(Edit), home.content(EditScore)) == whole, "an uninterrupted run has the same rows"
    assert home.count(EvalRun) == 2
    assert edits_grid(home.relational, home.model, ["ft_l", "rome"]).rows == 3

    runs = [newest_run(home.relational, "model_editing", home.model, one) for one in ("ft_l", "rome")]
    keys = [one.run for one in runs if one is not None]
    compared, flipped = compared_grids(home.relational, keys[0][:16], keys[1][:16], 5)
    assert compared.rows > 20
    assert flipped.rows <= 5
    assert runs_grid(home.relational).rows == 2

    home.made(edits, plain, **config, radius=0.02, sequential=True)
    assert home.count(EvalRun) == 3
    moments = {row[2] for row in ((str(one[0]), one[1], one[2]) for one in home.content(EditScore))}
    assert {"unedited", "after_edit", "end"} <= moments


def test_what_cannot_be_evaluated_is_one_line(home: Home) -> None:
    with pytest.raises(ValueError, match="runs: there is none; 'tracebank eval swaps'"):
        runs_grid(home.relational)
    with pytest.raises(ValueError, match="first: 'abc' is not allowed: no run begins so"):
        compared_grids(home.relational, "abc", "abd", 5)
    assert "EDITOR one of ft_l, rome" in fault(home.make(edits, f"{home.model}/unknown"))
    assert "is no file; allowed: a JSON file" in fault(home.make(cases, dataset="nowhere.json"))
    assert "is not in relational.language_models" in fault(home.make(scores, "unknown", **home.small))
    (home.folder / "empty").mkdir()
    assert "Python file" in fault(home.make(examples, root=str(home.folder / "empty")))
    assert home.count(SwapExample) == home.count(EvalRun) == 0
