"""Asset `ablations`: what the tuned model expects to say without the features that push its reward up."""

from typing import TYPE_CHECKING, Final

import dagster as dg
import polars as pl
from pydantic import Field
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import TUNED
from tracebank_assets.materialised import Figure
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP, PROBES
from tracebank_assets.sparse_features.probe_checks import ABLATION_CHECKS, beyond_random
from tracebank_assets.sparse_features.study_data import small_dictionaries
from tracebank_assets.studies import made_of_study, of_study, study_artifact, with_study
from tracebank_models.reward_probe.study import HELD_OUT, Study
from tracebank_schemas.reward_probe import ABLATION_TEXTS, AblatedFeature, Ablation, ProbeWeight

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.reward_probe.reward_ablation import AblationTexts, RewardAblation
    from tracebank_models.sparse_autoencoder.architectures import Dictionary

PROMPT_TOKENS: Final = 12
"""Of what is continued. The paper takes 30 of its longer reviews."""


class AblationsConfig(dg.Config):
    """How much is measured."""

    draws: int | None = Field(default=None, ge=1, description="Draws of random features; empty: the study's.")
    texts: int = Field(default=32, ge=2, description="Documents that the effect is measured on, at most.")
    text_tokens: int = Field(default=32, ge=1, description="Tokens of each; documents with fewer are left out.")
    continued: int = Field(default=32, ge=1, description="Prompts that are continued, for illustration.")


@study_artifact(
    GROUP,
    Ablation,
    AblatedFeature,
    ABLATION_TEXTS,
    checks=ABLATION_CHECKS,
    reads=("data", "documents", "max_tokens", "ablation_prompts", "ablated_share", "random_ablations", "dictionaries"),
    deps=[TUNED, DICTIONARIES, PROBES],
)
def ablations(context: dg.AssetExecutionContext, config: AblationsConfig, stores: Stores) -> dg.MaterializeResult:
    """Expected valence of the next token with features at zero, ranked among random features that are as active.

    Measured exactly, with the reconstruction in the output's place, as in 2310.08164, and with its error kept. Greedy
    continuations of some prompts illustrate it.

    Features are chosen by probe weight times mean activation; see `tracebank_models.reward_probe.reward_features`.
    """
    with made_of_study(context, stores) as (made, study, device):
        tuned = load_catalogued(stores.relational, study.key, device)
        coders, names = small_dictionaries(stores.relational, study, "tuned", device)
        weights = _weights(stores.relational, study, names)
        found = _ablated(study, config, tuned, coders, weights)
        made.into(Ablation, of_study(study)).write(with_study(found.effects, study))
        made.into(AblatedFeature, of_study(study)).write(_chosen_rows(found.chosen, study, names))
        texts = with_study(found.texts, study).select(ABLATION_TEXTS.polars_schema.names())
        made.into(ABLATION_TEXTS, of_study(study)).write(texts)
    return made.result(_figures(found), [beyond_random(found.effects)])


def _chosen_rows(chosen: pl.DataFrame, study: Study, names: dict[str, str]) -> pl.DataFrame:
    dictionary = pl.col("site").replace_strict(names, return_dtype=pl.String).alias("dictionary")
    return with_study(chosen.with_columns(dictionary), study).drop("site")


def _weights(relational: RelationalStore, study: Study, names: dict[str, str]) -> pl.DataFrame:
    """Weights of the tuned model's probe of the reward: columns site, feature and weight.

    Args:
        relational: the catalogue.
        study: the study.
        names: full name of the dictionary of each site.

    Raises:
        dg.Failure: the probe is not there, or it was fitted on other dictionaries.
    """
    from tracebank_models.reward_probe.probe_tables import REWARD, probe_name

    probe = probe_name(study.key, study.key, REWARD, "ridge", "sparse_codes")
    query = select(ProbeWeight.dictionary, ProbeWeight.feature, ProbeWeight.weight).where(ProbeWeight.probe == probe)
    with relational.reading() as session:
        rows = list(map(tuple, session.execute(query)))
    if {name for name, _, _ in rows} != set(names.values()):
        raise dg.Failure(f"probe {probe!r} was not fitted on these dictionaries; materialise sparse_features/probes")
    sites = {name: site for site, name in names.items()}
    schema = {"dictionary": pl.String, "feature": pl.Int32, "weight": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    site = pl.col("dictionary").replace_strict(sites, return_dtype=pl.String).alias("site")
    return frame.select(site, "feature", "weight")


def _ablated(
    study: Study,
    config: AblationsConfig,
    tuned: "LoadedModel",
    coders: "dict[str, Dictionary]",
    weights: pl.DataFrame,
) -> "RewardAblation":
    from tracebank_models.reward_probe.reward_ablation import AblationSettings, ablate_reward_features, work

    draws = study.effort.random_ablations if config.draws is None else config.draws
    settings = AblationSettings(study.effort.ablated_share, draws, study.seed)
    texts = _texts(study, config, tuned)
    lexicon, reward = study.data.lexicon(), study.data.reward_function(str(tuned.model.device))
    with track(f"Ablations of {study.key}", total=work(len(texts.measured), draws)) as advance:
        return ablate_reward_features(
            tuned.model, tuned.tokenizer, coders, weights, texts, lexicon, reward, settings, advance=advance
        )


def _texts(study: Study, config: AblationsConfig, tuned: "LoadedModel") -> "AblationTexts":
    """Held-out documents in halves, to choose features on and to match them on, and others to measure them on."""
    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.reward_probe.emitted_words import review_starts
    from tracebank_models.reward_probe.reward_ablation import AblationTexts
    from tracebank_models.reward_probe.study_report import wanted_documents

    held_out = [document.text for document in study.captured_documents(HELD_OUT)]
    halves = [
        TokenCorpus.from_texts(held_out[first::2], tuned.tokenizer, max_tokens=study.effort.max_tokens)
        for first in range(2)
    ]
    documents = study.data.documents("ablation", wanted_documents(study)["ablation"])
    texts = [document.text for document in documents]
    measured = review_starts(tuned.tokenizer, texts, tokens=config.text_tokens, limit=config.texts)
    prompts = review_starts(tuned.tokenizer, texts, tokens=PROMPT_TOKENS, limit=config.continued)
    return AblationTexts(halves[0], halves[1], measured, prompts)


def _figures(found: "RewardAblation") -> dict[str, Figure]:
    chosen = found.effects.filter(pl.col("rank_p").is_not_null())
    figures: dict[str, Figure] = {
        f"{row['condition']}_{name}": round(row[name], 5)
        for row in chosen.iter_rows(named=True)
        for name in ("effect", "rank_p")
    }
    written = found.texts.group_by("condition", maintain_order=True).agg(pl.col("reward").mean())
    figures |= {f"{name}_reward_written": round(float(mean), 4) for name, mean in written.iter_rows()}
    return {"ablated_features": found.chosen.height, "texts": int(chosen["texts"][0]), **figures}
