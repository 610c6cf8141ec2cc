"""Windows of each stratum out of a stream of planted units, and the values on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.features.streams import TokenBatch, TokenPlaces
from tracebank_models.neuron_graphs.evaluation import predictions, unit_scores
from tracebank_models.neuron_graphs.strata import (
    STRATA,
    StrataPass,
    StrataSettings,
    documents_in_both,
)
from tracebank_models.neuron_graphs.window_values import WindowValues

Thresholds = NDArray[np.float32]
TEXTS = pl.Series("token", ["a", " a", "b", "c", "d", "e"], pl.String)
MAXIMA = np.array([2, 4, 0], np.float32)
HALF = np.array([1, 2, np.inf], np.float32)
"""What is to be exceeded: half of the maximum."""
ACTIVATING = pl.DataFrame({"unit": [0, 0, 1], "token": ["a", "b", "c"]})
SETTINGS = StrataSettings(top=4, per_quantile=2, random=5, hard_negative=6, before=3, after=2, lead=4)


@pytest.fixture(scope="module")
def places() -> TokenPlaces:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 30, 60)
    documents = np.repeat(np.arange(60), lengths)
    positions = np.concatenate([np.arange(length) for length in lengths])
    return TokenPlaces(random.integers(0, 6, documents.size).astype(np.int32), documents, positions.astype(np.int32))


@pytest.fixture(scope="module")
def codes(places: TokenPlaces) -> Tensor:
    """Unit 0 fires on half of its tokens a, unit 1 on c, now and then below 0; the last never has a maximum."""
    random = torch.Generator().manual_seed(0)
    ids = torch.from_numpy(places.token_ids)
    drawn = torch.rand(len(ids), 3, generator=random)
    on = torch.stack([(ids <= 1) & (drawn[:, 1] > 0.5), ids == 3, ids == 4], 1)
    return torch.where(on, torch.tensor([2.0, 4, 1]) * (0.51 + drawn * 0.49), -drawn)


def _batches(codes: Tensor, places: TokenPlaces, size: int) -> Iterator[tuple[Tensor, TokenBatch]]:
    columns = [torch.from_numpy(column) for column in (places.token_ids, places.documents, places.positions)]
    for first in range(0, len(codes), size):
        part = slice(first, first + size)
        rows = torch.arange(len(codes))[part]
        yield codes[part], TokenBatch({}, *(column[part] for column in columns), rows)


def _windows(codes: Tensor, places: TokenPlaces, settings: StrataSettings, above: Thresholds = HALF) -> pl.DataFrame:
    state = StrataPass(above, ACTIVATING, TEXTS.replace({" a": "a"}), settings)
    for part, batch in _batches(codes, places, 50):
        state.update(part, batch)
    return state.windows(places)


def _values(codes: Tensor, places: TokenPlaces, windows: pl.DataFrame) -> pl.DataFrame:
    reader = WindowValues(windows, places)
    for part, batch in _batches(codes, places, 64):
        reader.update(part, batch)
    return reader.tokens(MAXIMA)


def test_windows_are_of_odd_documents_and_say_so(codes: Tensor, places: TokenPlaces) -> None:
    found = _windows(codes, places, SETTINGS)
    assert set(found["document"].to_numpy() % 2) == {1}
    train = places.documents[places.documents % 2 == 0]
    assert documents_in_both(train, found["document"].to_numpy()) == 0
    assert documents_in_both(places.documents, found["document"].to_numpy()) == found["document"].n_unique()
    assert (places.documents[found["first"]] == places.documents[found["last"]]).all()
    assert (found["pivot"] - found["scored"]).max() == 3
    assert (found["scored"] - found["first"]).max() == 4
    whole = found.filter(pl.col("scored") - pl.col("first") < 4)
    assert set(places.positions[whole["first"]]) == {0}
    assert (found["last"] - found["pivot"]).max() == 2
    assert found["window"].to_list() == list(range(found.height))


def test_each_stratum_holds_what_it_says(codes: Tensor, places: TokenPlaces) -> None:
    found = _windows(codes, places, SETTINGS)
    odd = torch.from_numpy(places.documents % 2 == 1)
    for unit in (0, 1):
        share = codes[:, unit] / float(MAXIMA[unit])
        mine = found.filter(unit=unit)
        pivots = {name: mine.filter(stratum=name)["pivot"].to_list() for name in STRATA}
        assert [len(rows) for rows in pivots.values()] == [4, 10, 5, 6 if unit == 0 else 0]
        assert pivots["top"] == share.where(odd, torch.tensor(-1.0)).topk(4).indices.tolist()
        assert (share[pivots["quantile"]] >= 0.5).all()
        assert len(set(pivots["quantile"])) == 10
        assert (share[pivots["hard_negative"]] < 0.5).all()
        assert set(TEXTS.gather(places.token_ids[pivots["hard_negative"]])) <= {"a", " a", "b"}
    assert set(found.filter(unit=2)["stratum"]) == {"random"}


def test_a_case_that_graphs_do_not_tell_apart_misleads_as_well(codes: Tensor, places: TokenPlaces) -> None:
    found = _windows(codes, places, StrataSettings(hard_negative=500)).filter(unit=0, stratum="hard_negative")
    silent = (codes[:, 0] < 1) & torch.from_numpy((places.documents % 2 == 1) & (places.token_ids <= 2))
    assert sorted(found["pivot"]) == silent.nonzero().flatten().tolist()


def test_the_order_of_batches_does_not_matter(codes: Tensor, places: TokenPlaces) -> None:
    state = StrataPass(HALF, ACTIVATING, TEXTS.replace({" a": "a"}), SETTINGS)
    for part, batch in reversed(list(_batches(codes, places, 33))):
        state.update(part, batch)
    assert state.windows(places).equals(_windows(codes, places, SETTINGS))


def test_values_are_those_of_the_stream_over_the_maximum(codes: Tensor, places: TokenPlaces) -> None:
    windows = _windows(codes, places, SETTINGS)
    found = _values(codes, places, windows)
    assert found.height == int((windows["last"] - windows["first"] + 1).sum())
    assert found.group_by("window", maintain_order=True).agg(pl.col("row").min())["row"].equals(windows["first"])
    share = codes / torch.tensor([2, 4, torch.inf])
    scored = windows["last"] - windows["scored"] + 1
    assert (
        found.group_by("window", maintain_order=True).agg(pl.col("scored").sum())["scored"].to_list()
        == scored.to_list()
    )
    np.testing.assert_allclose(found["value"], share[found["row"].to_list(), found["unit"].to_list()], rtol=1e-6)
    assert found["token_id"].to_list() == places.token_ids[found["row"]].tolist()
    assert found["position"].to_list() == places.positions[found["row"]].tolist()


def test_codes_fire_above_nothing_and_neurons_from_a_share(codes: Tensor, places: TokenPlaces) -> None:
    weak = codes.clamp(max=0.01)
    assert set(_windows(weak, places, SETTINGS).filter(unit=1)["stratum"]) == {"random", "hard_negative"}
    above_0 = _windows(weak, places, SETTINGS, np.zeros(3, np.float32))
    assert set(above_0.filter(unit=1)["stratum"]) == {"top", "quantile", "random"}


def test_what_cannot_be_is_refused(codes: Tensor, places: TokenPlaces) -> None:
    with pytest.raises(ValueError, match=r"StrataSettings\.top: -1"):
        StrataSettings(top=-1)
    with pytest.raises(ValueError, match="activating: unit 7: allowed are 0 to 2"):
        StrataPass(HALF, pl.DataFrame({"unit": [7], "token": ["a"]}), TEXTS, SETTINGS)
    windows = _windows(codes, places, SETTINGS)
    with pytest.raises(ValueError, match="were not in the stream: read all of it"):
        WindowValues(windows, places).tokens(MAXIMA)


class _AfterB:
    """A graph: fires on c after b."""

    def predict(self, tokens: Sequence[str]) -> list[float]:
        return [float(pair == ("b", "c")) for pair in zip(["", *tokens], tokens, strict=False)]


def test_from_a_stream_to_scores_a_graph_is_right_where_look_ups_are_misled(places: TokenPlaces) -> None:
    ids, first = torch.from_numpy(places.token_ids), torch.from_numpy(places.positions == 0)
    codes = ((ids == 3) & (ids.roll(1) == 2) & ~first).float()[:, None]
    one = np.ones(1, np.float32)
    state = StrataPass(one / 2, pl.DataFrame({"unit": [0], "token": ["c"]}), TEXTS, SETTINGS)
    for part, batch in _batches(codes, places, 50):
        state.update(part, batch)
    reader = WindowValues(state.windows(places), places)
    for part, batch in _batches(codes, places, 50):
        reader.update(part, batch)
    even = np.flatnonzero(places.documents % 2 == 0)
    train = pl.DataFrame(
        {
            "unit": [0] * even.size,
            "window": places.documents[even],
            "token_id": places.token_ids[even],
            "value": codes[even, 0].numpy(),
        }
    )
    top = pl.DataFrame({"unit": [0], "token_id": [3], "value": [1.0]}, schema_overrides={"unit": pl.Int32})
    tokens = reader.tokens(one)
    predicted = predictions(
        tokens, train, {0: _AfterB()}, TEXTS, TEXTS, top.cast({"token_id": tokens["token_id"].dtype})
    )
    scores = unit_scores(predicted, pl.DataFrame({"unit": [0], "reason": [None]}), 0.5)
    f1 = {(stratum, method): value for stratum, method, value in scores.select("stratum", "method", "f1").iter_rows()}
    # Nothing is lost at the beginning of windows: what stands before is seen.
    assert f1["all", "neuron_graph"] == 1
    assert f1["all", "token_maximum"] < 0.8
    assert {stratum for stratum, _ in f1} == {*STRATA, "all"}
