"""Assets `tuned` and `frontier` on a tiny study: what is measured is stored, and what is chosen is catalogued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import torch
from sqlalchemy import select
from tests.upgraded import upgraded

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.assets import base, tuned
from tracebank_assets.language_models.frontier import frontier
from tracebank_assets.studies import STUDIES
from tracebank_models.language_model import architecture, recipes
from tracebank_models.language_model.architecture import ModelSize
from tracebank_models.language_model.offline_corpus import OfflineCorpus
from tracebank_models.language_model.training_settings import (
    DPOConfiguration,
    PPOConfiguration,
    PretrainingConfiguration,
)
from tracebank_models.reward_probe import study as study_module
from tracebank_models.reward_probe.study import Effort
from tracebank_schemas.language_model import LanguageModel, PolicyEvaluation

STUDY = "small-ppo-seed0"
SIZE = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=500, context_length=128)
RECIPE = recipes.Recipe(
    "small", OfflineCorpus(reviews=200, docstring_characters=0), PretrainingConfiguration(steps=4, batch_size=4)
)
EFFORT = Effort(
    ppo=PPOConfiguration(
        steps=2, batch_size=8, minibatch_size=8, epochs=1, learning_rate=3e-3, warmup_steps=0, held_out_prompts=12
    ),
    dpo=DPOConfiguration(steps=2),
    preference_batches=1,
    documents=4,
    max_tokens=48,
    triples=1,
    random_probes=1,
    ablation_prompts=1,
    ablated_share=0.1,
    threads=1,
)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RelationalStore, dict[str, dg.AssetCheckEvaluation], Path]]:
    home = tmp_path_factory.mktemp("tuned")
    settings = Settings.load(
        home=home, series_url=f"chdb:///{home}/series", relational_url=f"sqlite:///{home}/relational.db", device="cpu"
    )
    upgraded(settings)
    checks = {}
    config = {frontier.key.to_python_identifier(): {"config": {"betas": [0.5, 0.0], "steps": 1}}}
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        for name, value in settings.environment().items():
            patch.setenv(name, value)
        patch.setitem(study_module.EFFORTS, "small", EFFORT)  # type: ignore[arg-type]
        patch.setitem(recipes.RECIPES, "small", RECIPE)  # type: ignore[arg-type]
        patch.setitem(architecture.SIZES, "small", SIZE)
        torch.set_num_threads(1)
        instance.add_dynamic_partitions(str(STUDIES.name), [STUDY])
        for asset, given in ((base, None), (tuned, None), (frontier, {"ops": config})):
            done = dg.materialize(
                [asset], partition_key=STUDY, instance=instance, resources={"stores": Stores()}, run_config=given
            )
            checks |= {one.check_name: one for one in done.get_asset_check_evaluations()}
    relational = open_relational(settings)
    yield relational, checks, home
    relational.close()


def test_the_tuned_model_is_the_checkpoint_that_was_chosen(
    made: tuple[RelationalStore, dict[str, dg.AssetCheckEvaluation], Path],
) -> None:
    relational, checks, _ = made
    with relational.reading() as session:
        models = {row.model: row for row in session.scalars(select(LanguageModel))}
        rows = list(session.scalars(select(PolicyEvaluation).where(PolicyEvaluation.asset == "tuned")))
        measured = {(row.split, row.step): row for row in rows}
        (report,) = [row for row in rows if row.split == "report"]
        assert set(measured) == {("choice", 0), ("choice", 2), ("report", report.step)}
        assert {row.step for row in rows if row.chosen} == {report.step} == {models[STUDY].step}
        assert (models[STUDY].weights_hash == models["small"].weights_hash) == (report.step == 0)
        assert {row.beta for row in rows} == {EFFORT.ppo.beta}
        worth = {
            row.step: row.gain - EFFORT.ppo.kl_price * row.kl for row in rows if row.split == "choice" and row.kl <= 3
        }
        assert worth[report.step] == max(worth.values())
        rose = report.gain_low > 0 and report.kl <= EFFORT.ppo.kl_budget
    check = checks["reward_rose"]
    assert check.passed == rose
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description


def test_the_frontier_is_stored_and_drawn(
    made: tuple[RelationalStore, dict[str, dg.AssetCheckEvaluation], Path],
) -> None:
    relational, checks, home = made
    with relational.reading() as session:
        rows = list(session.scalars(select(PolicyEvaluation).where(PolicyEvaluation.asset == "frontier")))
        assert {(row.beta, row.split) for row in rows} == {(b, s) for b in (0.0, 0.5) for s in ("choice", "report")}
        kls = {row.beta: row.kl for row in rows if row.split == "report"}
    assert checks["kl_falls_with_its_price"].passed == (kls[0.0] >= kls[0.5])
    picture = (home / "frontiers" / f"{STUDY}.svg").read_text(encoding="utf-8")
    assert "beta 0.5" in picture
    assert "nats per response" in picture
