"""Groups `identifier_swaps` and `model_editing`: rows stand as they come, killed runs go on, runs are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
from sqlalchemy import func, select
from tests.endpoint_double import answering
from tests.tiny_models import byte_tokenizer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_assets.evaluation import EvalRows, newest_run
from tracebank_assets.evaluations_shown import compared_grids, edits_grid, losses_grid, runs_grid
from tracebank_assets.identifier_swaps.answers import answers
from tracebank_assets.identifier_swaps.examples import examples
from tracebank_assets.identifier_swaps.scores import scores
from tracebank_assets.identifier_swaps.trends import trends
from tracebank_assets.language_models.named import MODELS, named
from tracebank_assets.model_editing.cases import cases
from tracebank_assets.model_editing.edits import EDITS, edits
from tracebank_assets.model_editing.layers import layers
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.identifier_swaps import SwapAnswer, SwapCount, SwapExample, SwapScore, SwapTrend
from tracebank_schemas.model_editing import Edit, EditCase, EditLayer, EditScore, RefusedCase

FUNCTION = '''
def {name}(x):
    """Say how many."""
    print(x)
    return len(x) + {number}
'''
SMALL = {"source": "sources", "count": 8}


def _records(count: int) -> list[dict[str, Any]]:
    people = ["Ada Moss", "Bo Lind", "Cy Hale", "Di Rook", "Ed Vane", "Flo Kerr", "Gus Pike", "Hal Dorn"]
    return [
        {
            "case_id": number,
            "requested_rewrite": {
                "prompt": "{} lives in",
                "relation_id": "P1",
                "subject": people[number],
                "target_new": {"str": "Oslo"},
                "target_true": {"str": "Lima"},
            },
            "paraphrase_prompts": [f"The home of {people[number]} is"],
            "neighborhood_prompts": [f"{people[(number + step) % 8]} lives in" for step in (1, 2)],
            "attribute_prompts": [],
            "generation_prompts": [],
        }
        for number in range(count)
    ]


@dataclass(frozen=True)
class Home:
    """A home with a tiny model, and what materialising in it does."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance
    model: str
    folder: Path

    def make(self, asset: Any, partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        if partition:
            kind = EDITS if asset is edits else MODELS
            self.instance.add_dynamic_partitions(str(kind.name), [partition])
        return dg.materialize(
            [asset],
            partition_key=partition,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def made(self, asset: Any, partition: str | None = None, **config: Any) -> dict[str, bool]:
        """Materialise well, and what checks found."""
        result = self.make(asset, partition, **config)
        assert result.success, fault(result)
        return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}

    def count(self, table: Any) -> int:
        with self.relational.reading() as session:
            return int(session.scalar(select(func.count()).select_from(table)) or 0)

    def content(self, table: Any) -> list[tuple[str, ...]]:
        names = [one.name for one in table.__table__.columns if one.name != "seconds"]
        with self.relational.reading() as session:
            return sorted(tuple(str(getattr(row, name)) for name in names) for row in session.scalars(select(table)))


def fault(result: dg.ExecuteInProcessResult) -> str:
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert data.error is not None
    return str(data.error.cause.message if data.error.cause else data.error.message)


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("TRACEBANK_DEVICE", "cpu")
    torch.manual_seed(3)
    tokenizer = byte_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=257, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=256, initializer_range=0.3, bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    folder = tmp_path / "model"
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.eos_token = "<|padding|>"
    tokenizer.save_pretrained(folder)
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(8):
        (sources / f"part{number}.py").write_text(FUNCTION.format(name=f"tell{number}", number=number))
    upgrade(settings)
    relational = open_relational(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Home(settings, relational, instance, str(folder), tmp_path)
        made.made(named, made.model)
        yield made
    relational.close()


def test_swaps_are_scored_once_whatever_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no examples of" in fault(home.make(scores, home.model, **SMALL))
    assert home.made(examples, root=str(home.folder / "sources"))["both_bodies_are_python"]
    assert home.count(SwapExample) == 8
    before = home.content(SwapExample)
    home.made(examples, root=str(home.folder / "sources"))
    assert home.content(SwapExample) == before
    home.made(examples, root=str(home.folder / "sources"), documented=False)
    assert home.count(SwapExample) == 16, "another selection stands beside"
    assert home.count(SwapCount) > 10

    kept = EvalRows.keep

    def killed(self: EvalRows, rows: Any) -> None:
        kept(self, rows)
        raise RuntimeError("killed")

    config = SMALL | {"joint": True}
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


def test_an_endpoint_is_asked_in_both_orders_and_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.made(examples, root=str(home.folder / "sources"))
    assert "name an endpoint to ask" in fault(home.make(answers, source="sources"))
    with answering() as endpoint:
        monkeypatch.setenv("TRACEBANK_EXPLAINER_URL", endpoint.url)
        monkeypatch.setenv("TRACEBANK_EXPLAINER_MODEL", "told")
        endpoint.judge = lambda _: "1"
        home.made(answers, source="sources", count=3)
        home.made(answers, source="sources")
        assert len(endpoint.asked) == home.count(SwapAnswer) == 16, "each example in both orders, once"
    run = newest_run(home.relational, "identifier_swaps_chat", "told")
    assert run is not None
    summary = EvalRows(home.relational, run.run).rows(EvalSummary)
    found = {(row["part"], row["metric"]): row["value"] for row in summary.iter_rows(named=True)}
    # Who always says 1 is right where the good one stands first, and never else: no better than chance.
    assert found == {(order, "valid"): 1.0 for order in ("good_first", "bad_first")} | {
        ("good_first", "correct"): 1.0,
        ("bad_first", "correct"): 0.0,
    }


def test_facts_are_edited_scored_and_compared(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    records = _records(8)
    broken = json.loads(json.dumps(records[0])) | {"case_id": 99}
    broken["requested_rewrite"]["prompt"] = "nobody lives in"
    file, other = home.folder / "facts.json", home.folder / "again.json"
    file.write_text(json.dumps([*records, broken]))
    other.write_text(json.dumps(records))
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
    assert "is not in relational.language_models" in fault(home.make(scores, "unknown", **SMALL))
    (home.folder / "empty").mkdir()
    assert "Python file" in fault(home.make(examples, root=str(home.folder / "empty")))
    assert home.count(SwapExample) == home.count(EvalRun) == 0
