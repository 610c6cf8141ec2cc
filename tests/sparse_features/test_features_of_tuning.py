"""A feature that only the tuned model has, planted among others: the question finds it first, and else next to nothing.

Base, tuned and an untouched "tuned" model share their true features; dictionaries of all are trained from one stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pytest
import torch
from sqlalchemy import true
from tests.filled import filled
from tests.upgraded import upgraded
from torch.nn import functional

from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank_assets.sparse_features.questions import questions
from tracebank_models.features.dictionary_codes import DictionarySet
from tracebank_models.features.nearest_base import nearest_base
from tracebank_models.features.one_pass import FeaturePass
from tracebank_models.features.rows import feature_rows
from tracebank_models.features.streams import TokenBatch
from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.comparisons import Trained, matches
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.planted import PlantedFeatures
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.sparse_autoencoder import Feature, SparseAutoencoder

TRUTH = PlantedFeatures(d_in=24, n_features=24, active=2)
NEW, D_SAE = 23, 32
"""The feature that tuning made, and features of every dictionary."""


def _sites(tokens: int, batches: int) -> Iterator[dict[str, torch.Tensor]]:
    directions = TRUTH.directions()
    for _, strengths in TRUTH.batches(tokens, batches):
        before = strengths.clone()
        before[:, NEW] = 0
        yield {"base": before @ directions, "tuned": strengths @ directions, "null": before @ directions}


def _config(name: str, sites: tuple[str, ...], seed: int) -> DictionaryConfig:
    return DictionaryConfig.from_dict(
        {
            "name": name, "architecture": "topk" if len(sites) == 1 else "crosscoder", "d_in": 24, "d_sae": D_SAE,
            "k": 2, "sites": sites, "learning_rate": 1e-2, "dead_after_tokens": 20_000, "seed": seed,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def dictionaries() -> dict[str, Dictionary]:
    configs = [
        _config("base-0", ("base",), 0), _config("base-1", ("base",), 1), _config("tuned", ("tuned",), 2),
        _config("null", ("null",), 3), _config("both", ("base", "tuned"), 0), _config("same", ("base", "null"), 1),
    ]  # fmt: skip
    training = StreamTraining(configs, "cpu")
    for _ in training.train(ActivationBatch(sites) for sites in _sites(256, 400)):
        pass
    return {name: one.eval() for name, one in training.dictionaries.items()}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("asked")
    url = f"sqlite:///{home}/relational.db"
    settings = Settings.load(home=home, relational_url=url, series_url=f"duckdb:///{home}/series.duckdb")
    upgraded(settings)
    return settings


def _answer(asked: Settings, chosen: dict[str, tuple[str, int]], dictionaries: dict[str, Dictionary]) -> pl.DataFrame:
    """What the question says of some dictionaries, each with its side and seed."""
    mine = {name: dictionaries[name] for name in chosen}
    sides = {name: Trained(side, "mlp", "big", mine[name].config.architecture, seed)
             for name, (side, seed) in chosen.items()}  # fmt: skip
    seen, at = FeaturePass(DictionarySet(mine), 5), torch.arange(2_000)
    seen.update(TokenBatch(next(_sites(2_000, 1)), at.int() % 5, 2 * at, at.int(), at))
    summary = seen.summary()
    tokens = pl.DataFrame(schema={"dictionary": pl.String, "feature": pl.Int32, "role": pl.String, "rank": pl.Int32,
                                  "token": pl.String})  # fmt: skip
    nearest = nearest_base(sides, mine, summary)
    frame = feature_rows(summary, tokens, matches([], mine)).join(nearest, on=["dictionary", "feature"], how="left")
    relational = open_relational(asked)
    rows = [
        {"dictionary": name, "study": "s", "side": one.side, "model": "m", "model_hash": "h", "site": one.site,
         "layer": 0, "size": one.size, "architecture": one.architecture, "d_in": 24, "d_sae": D_SAE,
         "seed": 0, "init_seed": one.seed, "tokens": 1, "steps": 1, "config": {}, "path": "",
         "trained_at": datetime.now(UTC)}
        for name, one in sides.items()
    ]  # fmt: skip
    models = [filled(LanguageModel, model="m")]
    for model, written in ((LanguageModel, models), (SparseAutoencoder, rows), (Feature, frame.to_dicts())):
        with relational.session() as session:
            relational.replace(session, model, true(), written)
    relational.close()
    query = next(text for title, text in questions(open_series(asked).engine).items() if "tuning made" in title)
    return Connection(asked).sql(query)


def test_a_planted_feature_is_found_first(dictionaries: dict[str, Dictionary], asked: Settings) -> None:
    chosen = {"base-0": ("base", 0), "base-1": ("base", 1), "tuned": ("tuned", 2), "both": ("both", 0)}
    found = _answer(asked, chosen, dictionaries)
    for name in ("both", "tuned"):
        rows = dictionaries[name].decoder_rows().detach()[:, -24:]
        cosines = functional.cosine_similarity(rows, TRUTH.directions()[NEW : NEW + 1])
        assert float(cosines.max()) > 0.95
        assert found.filter(dictionary=name)["feature"][0] == int(cosines.argmax())
    assert found["dictionary"].to_list()[:2] == ["both", "tuned"]
    (cross,) = found.filter(dictionary="both").iter_rows(named=True)
    assert cross["relative_norm_difference"] > 0.95
    assert cross["nearest_base_p"] is None
    assert found.filter(dictionary="tuned")["nearest_base_cosine"][0] < 0.5


def test_where_nothing_was_planted_nearly_nothing_is_found(
    dictionaries: dict[str, Dictionary], asked: Settings
) -> None:
    chosen = {"base-0": ("base", 0), "base-1": ("base", 1), "null": ("tuned", 3), "same": ("both", 1)}
    found = _answer(asked, chosen, dictionaries)
    assert found.filter(dictionary="same").is_empty()
    assert found.height <= 0.05 * D_SAE


def _largest(one: Dictionary, other: Dictionary, features: list[int]) -> list[float]:
    rows, others = (functional.normalize(each.decoder_rows().detach(), dim=1) for each in (one, other))
    return (rows[features] @ others.T).amax(1).tolist()  # type: ignore[no-any-return]


def test_a_base_of_another_seed_is_preferred(dictionaries: dict[str, Dictionary]) -> None:
    fired = {"t": [3, 0, 1], "b0": [1, 0, 2], "b1": [1]}
    summary = pl.DataFrame({"dictionary": list(fired), "fired": list(fired.values())}).explode("fired")
    summary = summary.with_columns(pl.int_range(pl.len()).over("dictionary").alias("feature"))
    mine = {"t": dictionaries["tuned"], "b0": dictionaries["base-0"], "b1": dictionaries["base-1"]}
    sides = {name: Trained(side, "mlp", "big", "topk", seed)
             for name, side, seed in (("t", "tuned", 0), ("b0", "base", 0), ("b1", "base", 1))}  # fmt: skip
    found = nearest_base(sides, mine, summary)
    assert found["feature"].to_list() == [0, 2]
    nearest = _largest(mine["t"], mine["b1"], [0, 2])
    assert found["nearest_base_cosine"].to_list() == pytest.approx(nearest, abs=1e-5)
    reseeded = _largest(mine["b0"], mine["b1"], [0, 2])
    assert found["nearest_base_p"].to_list() == [(1 + sum(one <= cosine for one in reseeded)) / 3 for cosine in nearest]
    alone = nearest_base({name: sides[name] for name in ("t", "b0")}, mine, summary)
    assert alone["nearest_base_p"].null_count() == 2
    assert alone["nearest_base_cosine"].to_list() == pytest.approx(_largest(mine["t"], mine["b0"], [0, 2]), abs=1e-5)
    assert nearest_base({"t": sides["t"]}, mine, summary).is_empty()
