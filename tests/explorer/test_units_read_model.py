"""Texts of units as pages read them: those that brute force finds, in a model that is small enough for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from sqlalchemy import select
from tests.homes import fault
from tests.sparse_features.conftest import Home, home, models  # noqa: F401
from tests.tiny_models import byte_tokenizer, tiny_model

from tracebank.resources import Stores
from tracebank_assets.explorer.launches import keep_units
from tracebank_assets.explorer.units import UnitsConfig, units
from tracebank_assets.neuron_graphs.graphs import graphs
from tracebank_assets.neuron_graphs.units import UNITS
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.neuron_graphs.unit_study import UnitsOfModel
from tracebank_models.neuron_graphs.unit_texts import TextSettings, UnitTexts, texts_of_units
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_schemas.explorer import UnitSummary, UnitText
from tracebank_schemas.sparse_autoencoder import Feature

LAYER = "small/layers.1.neurons"
SILENT = 3


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _units(architecture: str) -> UnitsOfModel:
    """A tiny model, with a unit that never fires, on documents of very different lengths; one holds a NUL."""
    chance = np.random.default_rng(5)
    letters = np.array(list("abcde fgh\0\n\N{OWL}"))
    texts = ["".join(chance.choice(letters, size)) for size in chance.integers(1, 40, 60)]
    model, tokenizer = tiny_model(2), byte_tokenizer()
    into = model.gpt_neox.layers[1].mlp.dense_h_to_4h
    with torch.no_grad():
        into.weight[SILENT], into.bias[SILENT] = 0, -1 if architecture == "neurons" else 0
    sizes = {"neurons": 32, "relu": 24}
    torch.manual_seed(7)
    coder = build(DictionaryConfig(name="d", architecture=architecture, d_in=32, d_sae=sizes[architecture])).eval()
    if architecture == "relu":
        with torch.no_grad():
            for weight in coder.parameters():
                weight.copy_(torch.randn(weight.shape) * (0.5 if weight.ndim == 2 else 0.05))
                if weight.shape == (24,):
                    weight[SILENT] = -100
    return UnitsOfModel(
        model, tokenizer, "layers.1.neurons", coder, TokenCorpus.from_texts(texts, tokenizer, max_tokens=60)
    )


def _dense(units: UnitsOfModel) -> dict[int, NDArray[np.float32]]:
    """What every unit does on every token of each even document, one document at a time."""
    found = {}
    for number, document in enumerate(units.corpus.document_ids.tolist()):
        if document % 2 == 0:
            ids = units.corpus.token_ids[units.corpus.starts[number] : units.corpus.starts[number + 1]]
            one = replace(
                units,
                corpus=TokenCorpus(ids, np.array([0, len(ids)]), np.array([document]), units.corpus.tokenizer_hash),
            )
            (batch,) = one.batches()
            with torch.no_grad():
                found[document] = units.coder.encode(next(iter(batch.activations.values()))).numpy()
    return found


@pytest.fixture(scope="module", params=["neurons", "relu"])
def found(request: pytest.FixtureRequest) -> tuple[UnitsOfModel, UnitTexts, dict[int, NDArray[np.float32]]]:
    units = _units(request.param)
    chosen = list(range(units.coder.config.d_sae))
    return units, texts_of_units(units, chosen, TextSettings(tokens=24, sample=1_000)), _dense(units)


Found = tuple[UnitsOfModel, UnitTexts, dict[int, NDArray[np.float32]]]


def _threshold(units: UnitsOfModel, values: NDArray[np.float32]) -> float:
    return max(float(values.max()), 0.0) * units.coder.fires_at


def test_texts_are_those_that_brute_force_finds(found: Found) -> None:
    units, made, dense = found
    every = np.concatenate(list(dense.values()))
    for unit in range(units.coder.config.d_sae):
        peaks = {document: float(values[:, unit].max()) for document, values in dense.items()}
        least = _threshold(units, every[:, unit])
        fires = {number: peak for number, peak in peaks.items() if peak > 0 and peak >= least}
        mine = made.texts.filter(feature=unit)
        top = sorted(fires, key=lambda number: (-round(fires[number], 5), number))[:20]
        shown = mine.filter(stratum="top")
        assert shown["rank"].to_list() == list(range(1, len(top) + 1))
        # The same up to what a batch's padding does to the last digits.
        assert [peaks[number] for number in shown["document"]] == pytest.approx([peaks[one] for one in top], abs=1e-5)
        random = mine.filter(stratum="random")
        assert random.height == min(5, len(fires))
        assert random["document"].n_unique() == random.height
        order = sorted(fires.values())
        parts = [[one for at, one in enumerate(order) if at * 5 // len(order) == fifth] for fifth in range(5)]
        quantiles = mine.filter(stratum="quantile")
        assert quantiles.group_by("quantile", maintain_order=True).len()["len"].to_list() == [
            min(2, len(p)) for p in parts if p
        ]
        for quantile, document in quantiles.select("quantile", "document").iter_rows():
            assert parts[quantile - 1][0] - 1e-5 <= peaks[document] <= parts[quantile - 1][-1] + 1e-5
        assert set(mine["document"]) <= fires.keys()


def test_values_are_those_of_the_whole_document_in_a_window_around_the_strongest(found: Found) -> None:
    units, made, dense = found
    assert made.texts.height > 100
    starts = dict(zip(units.corpus.document_ids.tolist(), units.corpus.starts.tolist(), strict=False))
    for row in made.texts.iter_rows(named=True):
        values, first = dense[row["document"]][:, row["feature"]], row["first_position"]
        size = min(24, len(values))
        assert len(row["tokens"]) == len(row["activations"]) == size
        part = values[first : first + size]
        np.testing.assert_allclose(row["activations"], part, rtol=6e-4, atol=1e-5)
        assert row["activations"][row["max_token"]] == row["max_activation"] == max(row["activations"])
        assert row["min_activation"] == min(row["activations"])
        assert row["max_activation"] == pytest.approx(values.max(), rel=6e-4)
        at = starts[row["document"]] + first
        ids = units.corpus.token_ids[at : at + size].tolist()
        assert row["tokens"] == [units.tokenizer.decode([one]).replace("\0", "\u2400") for one in ids]
        if first not in (0, len(values) - size):
            assert row["max_token"] == 12, "as much on either side"
    written = json.dumps(made.texts["activations"].to_list())
    assert not any(len(digits.strip(" []-").lstrip("0.").replace(".", "")) > 12 for digits in written.split(","))


def test_ranges_and_histograms_are_those_of_all_tokens(found: Found) -> None:
    units, made, dense = found
    every = np.concatenate(list(dense.values()))
    assert made.summaries["feature"].to_list() == list(range(units.coder.config.d_sae))
    assert made.summaries["tokens"].unique().to_list() == [len(every)]
    np.testing.assert_allclose(made.summaries["max_activation"], every.max(0), atol=1e-5)
    np.testing.assert_allclose(made.summaries["min_activation"], every.min(0), atol=1e-5)
    for unit, low, high, counts in made.summaries.drop("tokens").iter_rows():
        values = every[:, unit]
        assert sum(counts) == np.count_nonzero(values)
        if high > low:
            expected = np.histogram(values[values != 0], 50, (low - 1e-6, high + 1e-6))[0]
            assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 2, "one at an edge may lie beside it"


def test_a_unit_that_never_fires_has_a_summary_and_no_text(found: Found) -> None:
    _, made, _ = found
    assert made.texts.filter(feature=SILENT).is_empty()
    (summary,) = made.summaries.filter(feature=SILENT).to_dicts()
    assert summary["max_activation"] <= 0
    assert len(summary["histogram"]) == 50


def test_the_same_again_and_some_units_alone_say_the_same() -> None:
    units = _units("relu")
    whole = texts_of_units(units, range(24))
    again = texts_of_units(units, range(24))
    assert whole.texts.equals(again.texts)
    assert whole.summaries.equals(again.summaries)
    some = texts_of_units(units, [2, 9], TextSettings(random=0, per_quantile=0))
    assert some.texts.equals(whole.texts.filter(pl.col("feature").is_in([2, 9]), stratum="top"))
    assert texts_of_units(units, [SILENT]).texts.is_empty()
    told: list[float] = []
    texts_of_units(units, [1], progress=told.append)
    assert sum(told) == pytest.approx(1)


def test_what_cannot_be_read_is_one_line() -> None:
    units = _units("neurons")
    odd = replace(units, corpus=units.corpus.chosen(units.corpus.document_ids % 2 == 1))
    with pytest.raises(ValueError, match="0 tokens: at least one document with a token is needed"):
        texts_of_units(odd, [0])
    with torch.no_grad():
        units.model.gpt_neox.layers[1].mlp.dense_h_to_4h.weight[3] = torch.nan  # type: ignore[union-attr,index]
    with pytest.raises(ValueError, match=r"NaN or infinite|not finite"):
        texts_of_units(units, [0])
    with pytest.raises(ValueError, match=r"TextSettings.tokens: 0 is not allowed"):
        TextSettings(tokens=0)


def _make(home: Home, asset: Any, name: str, **config: Any) -> dg.ExecuteInProcessResult:  # noqa: F811
    home.instance.add_dynamic_partitions(str(UNITS.name), [name])
    return dg.materialize(
        [asset],
        partition_key=name,
        instance=home.instance,
        resources={"stores": Stores()},
        run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
        raise_on_error=False,
    )


def test_units_of_a_layer_are_kept_and_linked_to_their_page(home: Home) -> None:  # noqa: F811
    result = _make(home, units, LAYER)
    assert fault(result).strip().endswith(f"'{LAYER}' has no features; materialise neuron_graphs/graphs first")
    assert _make(home, graphs, LAYER, units=2, substitutes=0, per_fifth=1).success
    assert keep_units(home.settings, home.instance, [LAYER]) == [LAYER]
    assert keep_units(home.settings, home.instance, [LAYER]) == [], "what stands is not made again"
    page = home.instance.get_latest_materialization_event(units.key)
    assert page is not None
    assert page.asset_materialization is not None
    assert page.asset_materialization.metadata["page"].value == "http://127.0.0.1:8080/ledger/explorer/units"
    with home.relational.reading() as session:
        largest = dict(session.execute(select(Feature.feature, Feature.max_activation)).all())
        rows = session.scalars(select(UnitText).order_by(UnitText.feature)).all()
        summaries = session.scalars(select(UnitSummary)).all()
        assert len(summaries) == 64, "every neuron of the layer"
        for one in summaries:
            assert max(one.max_activation, 0) == pytest.approx(largest[one.feature], rel=1e-5)
            assert len(one.histogram) == 50
        assert {row.stratum for row in rows} == {"top", "random", "quantile"}
        for row in rows:
            assert row.activations[row.max_token] == row.max_activation
            assert "".join(row.tokens)
    assert keep_units(home.settings, home.instance, [LAYER], UnitsConfig(units=3, top=1)) == [LAYER]
    with home.relational.reading() as session:
        assert len(session.scalars(select(UnitSummary)).all()) == 3
