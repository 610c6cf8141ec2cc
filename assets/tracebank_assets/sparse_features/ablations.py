"""Asset `ablations`: what the tuned model writes without the features that push its reward up, beside controls."""

from typing import TYPE_CHECKING, Final

import dagster as dg
import polars as pl

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import TUNED
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP, PROBES
from tracebank_assets.sparse_features.probe_checks import ABLATION_CHECKS, beyond_random
from tracebank_assets.sparse_features.probe_rows import weights_of
from tracebank_assets.sparse_features.study_data import study_documents
from tracebank_assets.sparse_features.study_readers import (
    Dictionaries,
    advancing,
    small_dictionaries,
)
from tracebank_assets.studies import of_study, study_artifact, study_of, with_study
from tracebank_models.reward_probe.study import HELD_OUT, Study
from tracebank_schemas.reward_probe import ABLATION_TEXTS, AblatedFeature, Ablation

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.reward_probe.reward_ablation import RewardAblation

PROMPT_TOKENS: Final = 12
"""The paper takes 30 of its longer reviews."""


@study_artifact(
    GROUP,
    Ablation,
    AblatedFeature,
    ABLATION_TEXTS,
    checks=ABLATION_CHECKS,
    reads=("data", "documents", "max_tokens", "ablation_prompts", "ablated_share", "random_ablations", "dictionaries"),
    deps=[TUNED, DICTIONARIES, PROBES],
)
def ablations(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Reward of greedy continuations with features at zero, beside reconstruction alone and random features.

    Both ablations run with the reconstruction in the output's place, as in 2310.08164, and with its error kept.

    Features are chosen by probe weight times mean activation; see `tracebank_models.reward_probe.reward_features`.
    """
    study = study_of(context)
    device = prepared_device(stores.settings, study.effort.threads)
    with materialised(context, stores, Ablation, of_study(study)) as made:
        made.device = str(device)
        tuned = load_catalogued(stores.relational, study.key, device)
        read = small_dictionaries(stores.relational, study, "tuned", device)
        made.inputs |= {"tuned": tuned.facts.weights_hash, **read.versions}
        found = _ablated(stores, study, tuned, read)
        made.write(with_study(found.summary.rename({"seed": "draw"}), study))
        made.into(AblatedFeature, of_study(study)).write(_chosen_rows(found.chosen, study, read))
        texts = with_study(found.texts.rename({"seed": "draw"}), study)
        made.into(ABLATION_TEXTS, of_study(study)).write(texts.select(column.name for column in ABLATION_TEXTS.columns))
    return made.result(_figures(found), [beyond_random(found.summary)])


def _chosen_rows(chosen: pl.DataFrame, study: Study, read: Dictionaries) -> pl.DataFrame:
    names = pl.col("site").replace_strict(read.names, return_dtype=pl.String).alias("dictionary")
    return with_study(chosen.with_columns(names), study).drop("site")


def _ablated(stores: Stores, study: Study, tuned: "LoadedModel", read: Dictionaries) -> "RewardAblation":
    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.reward_probe.emitted_words import review_starts
    from tracebank_models.reward_probe.probe_tables import REWARD, probe_name
    from tracebank_models.reward_probe.reward_ablation import AblationSettings, ablate_reward_features
    from tracebank_models.reward_probe.study_report import wanted_documents

    effort = study.effort
    probe = probe_name(study.key, study.key, REWARD, "ridge", "sparse_codes")
    weights = weights_of(stores.relational, probe, read.names)
    held_out = [document.text for document in study_documents(study, HELD_OUT)]
    corpus = TokenCorpus.from_texts(held_out, tuned.tokenizer, max_tokens=effort.max_tokens)
    reviews = study.data.documents("ablation", wanted_documents(study)["ablation"])
    texts = [review.text for review in reviews]
    prompts = review_starts(tuned.tokenizer, texts, tokens=PROMPT_TOKENS, limit=effort.ablation_prompts)
    settings = AblationSettings(effort.ablated_share, seeds=tuple(range(effort.random_ablations)))
    reward = study.data.reward_function(str(tuned.model.device))
    with track(f"Ablations of {study.key}", total=2 * (3 + len(settings.seeds))) as advance:
        return ablate_reward_features(
            tuned.model, tuned.tokenizer, read.coders, weights, corpus, prompts,
            lambda written: reward(written).tolist(), settings, progress=advancing(advance),
        )  # fmt: skip


def _figures(found: "RewardAblation") -> dict[str, Figure]:
    means = found.summary.group_by("condition", maintain_order=True).agg(
        pl.col("mean_reward").mean().round(4), pl.col("features").first()
    )
    figures: dict[str, Figure] = {f"{name}_reward": float(mean) for name, mean, _ in means.iter_rows()}
    return {"ablated_features": found.chosen.height, "prompts": int(found.summary["prompts"][0]), **figures}
