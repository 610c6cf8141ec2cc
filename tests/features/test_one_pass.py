"""The pass over held-out activations against dense sums, its two halves kept apart, and explanations scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tracebank_models.activations.reader import ActivationShards
from tracebank_models.activations.shards import ActivationKey, ShardFolder, shard_columns
from tracebank_models.features.dictionary_codes import DictionarySet, grouped
from tracebank_models.features.executable_explanations import (
    NO_TOKEN,
    ScoringPass,
    described_counts,
    explanation_texts,
    with_mean_activations,
)
from tracebank_models.features.explanation_scores import ExplanationScores, TokenExplanations
from tracebank_models.features.firing import MaximumPass
from tracebank_models.features.one_pass import FeaturePass
from tracebank_models.features.rows import (
    feature_rows,
    partners,
    token_rows,
    written_tokens,
)
from tracebank_models.features.statistics import FeatureStatistics
from tracebank_models.features.streams import TokenBatch, TokenPlaces, read_in_step, token_places
from tracebank_models.features.token_text import surroundings, token_texts
from tracebank_models.features.token_totals import TokenTotals
from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.comparisons import Trained, comparisons, matches
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.crosscoder import relative_decoder_norms, scale_latents

WIDTH, VOCABULARY, TOKENS, DOCUMENT = 8, 30, 600, 12


def _dictionary(name: str, site: str, features: int = 8, seed: int = 0, bias: float = -0.4) -> Dictionary:
    made = build(DictionaryConfig(name=name, architecture="relu", d_in=WIDTH, d_sae=features, sites=(site,), seed=seed))
    made.encoder_bias.data.fill_(bias)
    return made.eval()


def _crosscoder(name: str) -> Dictionary:
    config = DictionaryConfig(
        name=name, architecture="crosscoder", d_in=WIDTH, d_sae=6, k=2, sites=("base/a", "tuned/a"), seed=4
    )
    made = build(config)
    made.threshold.fill_(0.01)
    made.decoder.data *= torch.rand(6, 2 * WIDTH, generator=torch.Generator().manual_seed(1))
    return made.eval()


@pytest.fixture
def dictionaries() -> dict[str, Dictionary]:
    return {
        "one": _dictionary("one", "base/a"),
        "dead": _dictionary("dead", "tuned/a", 5, bias=-1e6),
        "two": _dictionary("two", "tuned/a", 16, seed=2),
        "both": _crosscoder("both"),
    }


@pytest.fixture
def stream() -> TokenBatch:
    chance = torch.Generator().manual_seed(0)
    ids = (torch.rand(TOKENS, generator=chance).square() * VOCABULARY).int()
    table = torch.randn(VOCABULARY, WIDTH, generator=chance)
    sites = {
        name: table[ids.long()] + 0.3 * torch.randn(TOKENS, WIDTH, generator=chance) for name in ("base/a", "tuned/a")
    }
    rows = torch.arange(TOKENS)
    return TokenBatch(sites, ids, rows // DOCUMENT, (rows % DOCUMENT).int(), rows)


def _cut(stream: TokenBatch, size: int) -> Iterator[TokenBatch]:
    for first in range(0, TOKENS, size):
        part = slice(first, first + size)
        yield TokenBatch(
            {name: values[part] for name, values in stream.activations.items()},
            stream.token_ids[part],
            stream.documents[part],
            stream.positions[part],
            stream.rows[part],
        )


def _places(stream: TokenBatch) -> TokenPlaces:
    return TokenPlaces(stream.token_ids.numpy(), stream.documents.numpy(), stream.positions.numpy())


def _codes(dictionary: Dictionary, stream: TokenBatch) -> Tensor:
    with torch.no_grad():
        return dictionary.encode(torch.cat([stream.activations[site] for site in dictionary.config.sites], dim=1))


def _passed(
    dictionaries: dict[str, Dictionary], stream: TokenBatch, size: int, stored: int = 100
) -> tuple[FeaturePass, pl.DataFrame]:
    state = FeaturePass(DictionarySet(dictionaries), VOCABULARY, stored_tokens=stored, top=5, sample=40)
    return state, pl.concat([state.update(batch) for batch in _cut(stream, size)])


@pytest.mark.parametrize("size", [37, TOKENS])
def test_a_pass_gives_each_dictionary_its_dense_sums_over_even_documents(
    dictionaries: dict[str, Dictionary], stream: TokenBatch, size: int
) -> None:
    state, _ = _passed(dictionaries, stream, size)
    even = stream.documents % 2 == 0
    for name, dictionary in dictionaries.items():
        codes = _codes(dictionary, stream)[even]
        found = state.summary().filter(dictionary=name)
        assert found["feature"].to_list() == list(range(codes.shape[1]))
        assert found["fired"].to_list() == (codes > 0).sum(0).tolist()
        assert set(found["tokens"]) == {int(even.sum())}
        np.testing.assert_allclose(found["max_activation"], codes.amax(0), rtol=1e-5)
        mean = codes.double().sum(0) / (codes > 0).sum(0).clamp(min=1)
        np.testing.assert_allclose(found["mean_activation"], mean, rtol=1e-5)
    assert state.summary().filter(dictionary="dead")["fired"].sum() == 0


def test_top_examples_are_strongest_tokens_of_even_documents(
    dictionaries: dict[str, Dictionary], stream: TokenBatch
) -> None:
    state, _ = _passed(dictionaries, stream, 50)
    found = state.examples(random=3).filter(dictionary="two", stratum="top")
    codes = _codes(dictionaries["two"], stream)
    codes[stream.documents % 2 == 1] = 0
    for feature in range(16):
        strongest = codes[:, feature].topk(5).indices[: int((codes[:, feature] > 0).sum())]
        assert found.filter(feature=feature)["row"].to_list() == strongest.tolist()
    assert (stream.documents[state.examples()["row"].to_list()] % 2 == 0).all()


def test_stored_codes_are_those_of_the_first_tokens_of_any_document(
    dictionaries: dict[str, Dictionary], stream: TokenBatch
) -> None:
    state, frame = _passed(dictionaries, stream, 37)
    for name, dictionary in dictionaries.items():
        codes = _codes(dictionary, stream)[:100]
        mine = frame.filter(dictionary=name)
        row = mine["document"].to_numpy() * DOCUMENT + mine["position"].to_numpy()
        dense = torch.zeros_like(codes)
        dense[row, mine["feature"].to_numpy()] = mine["activation"].to_torch()
        torch.testing.assert_close(dense, codes)
        assert mine["token_id"].to_list() == stream.token_ids[row].tolist()
        counted = state.stored_fired().filter(dictionary=name)["fired"].to_list()
        assert counted == (codes > 0).sum(0).tolist() == np.bincount(mine["feature"], minlength=len(counted)).tolist()


def test_crosscoders_get_their_columns_and_others_nulls(
    dictionaries: dict[str, Dictionary], stream: TokenBatch
) -> None:
    found = _passed(dictionaries, stream, 37)[0].summary()
    even = stream.documents % 2 == 0
    both = torch.cat([stream.activations["base/a"], stream.activations["tuned/a"]], dim=1)[even]
    scaled, norms = scale_latents(dictionaries["both"], [both]), relative_decoder_norms(dictionaries["both"])
    mine = found.filter(dictionary="both")
    columns = ["nu_reconstruction", "nu_error"]
    assert_frame_equal(mine.select(columns), scaled.select(columns), rel_tol=1e-6)
    assert mine["relative_norm_difference"].to_list() == norms["relative_norm_difference"].to_list()
    assert (
        found.filter(pl.col("dictionary") != "both").select(pl.all_horizontal(pl.col(columns).is_null()).all()).item()
    )


@pytest.fixture
def with_neurons() -> dict[str, Dictionary]:
    config = DictionaryConfig(name="n", architecture="neurons", d_in=WIDTH, d_sae=WIDTH, sites=("tuned/a",))
    return {"one": _dictionary("one", "base/a"), "n": build(config)}


def _maximum(dictionaries: dict[str, Dictionary], stream: TokenBatch) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    first = MaximumPass(DictionarySet(dictionaries))
    for batch in _cut(stream, 37):
        first.update(batch)
    return first.maximum


def test_neurons_fire_at_half_of_their_maximum_beside_features_that_fire_above_0(
    with_neurons: dict[str, Dictionary], stream: TokenBatch
) -> None:
    raw = stream.activations["tuned/a"]
    raw[0, 5], raw[2, 5], raw[4, 5] = 50.0, 25.0, 24.999998  # an exact half fires, the next smaller number does not
    raw[:, 6] = -raw[:, 6].abs()  # never positive, so it never fires
    raw[12, 7] = 1_000.0  # of an odd document, from which nothing is described
    maximum = _maximum(with_neurons, stream)
    even = stream.documents % 2 == 0
    at = np.maximum(raw[even].amax(0).numpy(), 0) / 2
    state = FeaturePass(
        DictionarySet(with_neurons), VOCABULARY, stored_tokens=100, top=5, sample=500, reservoir=4, maximum=maximum
    )
    stored = pl.concat([state.update(batch) for batch in _cut(stream, 37)]).filter(dictionary="n")
    fires = (raw >= torch.from_numpy(at)) & (torch.from_numpy(at) > 0)
    mine = state.summary().filter(dictionary="n")
    assert mine["fired"].to_list() == fires[even].sum(0).tolist()
    assert mine["fired"][5] == 2
    assert mine["fired"][6] == 0
    np.testing.assert_allclose(mine["max_activation"], 2 * at)
    np.testing.assert_allclose(mine["density"], fires[even].double().mean(0))
    mean = (raw * fires)[even].double().sum(0) / fires[even].sum(0).clamp(min=1)
    np.testing.assert_allclose(mine["mean_activation"], mean, rtol=1e-6)
    examples = state.examples(random=500).filter(dictionary="n")
    for stratum in ("top", "random", "quantile", "reservoir"):
        found = examples.filter(stratum=stratum)
        assert fires[found["row"].to_list(), found["feature"].to_list()].all()
        assert (raw[found["row"].to_list(), found["feature"].to_list()].numpy() == found["activation"].to_numpy()).all()
    drawn = examples.filter(stratum="reservoir").group_by("feature").len().sort("feature")
    assert drawn["len"].to_list() == [min(4, count) for count in mine["fired"] if count]
    assert examples.filter(stratum="random").height == int(fires[even].sum())
    assert stored.height == int(fires[:100].sum())
    plain = _passed({"one": with_neurons["one"]}, stream, 37)[0].summary()
    assert state.summary().filter(dictionary="one").equals(plain)


def test_tokens_and_scores_of_neurons_are_of_their_firings(
    with_neurons: dict[str, Dictionary], stream: TokenBatch
) -> None:
    """Half of the tokens have negative activations, which are no part of a share."""
    maximum = _maximum(with_neurons, stream)
    state = FeaturePass(DictionarySet(with_neurons), VOCABULARY, maximum=maximum)
    state.update(stream)
    raw, odd = stream.activations["tuned/a"], stream.documents % 2 == 1
    fires = raw >= torch.from_numpy(maximum[8:]) / 2
    top = state.top_tokens(4)
    mine = top.filter(dictionary="n").drop("dictionary")
    oracle = _top_tokens((raw * fires)[~odd], stream.token_ids[~odd]).filter(pl.col("rank") <= 4)
    assert_frame_equal(mine, oracle, check_dtypes=False, rel_tol=1e-6)
    scoring = ScoringPass(DictionarySet(with_neurons), VOCABULARY, maximum)
    for batch in _cut(stream, 44):
        scoring.update(batch)
    explained = TokenExplanations(mine, VOCABULARY)
    scores = ExplanationScores(explained.features)
    scores.update(explained.simulate(stream.token_ids[odd]), (raw * fires)[odd][:, explained.features])
    found = scoring.scores(top).filter(dictionary="n").drop("dictionary")
    assert_frame_equal(found, scores.scores(), check_dtypes=False, rel_tol=1e-4)


def test_neurons_without_their_maximum_are_refused(with_neurons: dict[str, Dictionary], stream: TokenBatch) -> None:
    both = DictionarySet(with_neurons)
    with pytest.raises(ValueError, match=r"^maximum: none is given: units of 'n' fire at 0.5 of their maximum$"):
        FeaturePass(both, VOCABULARY)
    with pytest.raises(ValueError, match=r"^maximum: none is given: units of 'n'"):
        ScoringPass(both, VOCABULARY)
    with pytest.raises(ValueError, match=r"^maximum: shape \(3,\) is not allowed: \(16,\)"):
        FeaturePass(both, VOCABULARY, maximum=np.ones(3, np.float32))
    stream.activations["tuned/a"][3, 3] = torch.nan
    with pytest.raises(ValueError, match=r"^codes: one is not finite"):
        MaximumPass(both).update(stream)


def test_examples_do_not_depend_on_batches_or_on_when_they_are_asked_for() -> None:
    """Of codes with many equal values, where the earlier token counts; one sort of everything is the oracle."""
    codes = ((torch.randn(900, 20, generator=torch.Generator().manual_seed(5)) - 0.3).relu() * 4).round() / 4
    whole, often = (FeatureStatistics(20, top=6, sample=30, seed=2) for _ in range(2))
    whole.update(codes, torch.arange(900))
    halves = [FeatureStatistics(20, top=6, sample=30, seed=2) for _ in range(2)]
    for first in range(0, 900, 45):
        for state in (often, halves[first % 2]):
            state.update(codes[first : first + 45], torch.arange(first, first + 45))
        often.examples()
    halves[0].merge(halves[1])
    for state in (often, halves[0]):
        assert_frame_equal(state.examples(random=9), whole.examples(random=9))
        assert_frame_equal(state.summary(), whole.summary(), rel_tol=1e-12)
    for feature in range(20):
        strongest = sorted(range(900), key=lambda row: (-float(codes[row, feature]), row))[:6]
        assert whole.examples().filter(feature=feature, stratum="top")["row"].to_list() == strongest


def _top_tokens(codes: Tensor, ids: Tensor) -> pl.DataFrame:
    """Every pair of feature and token by a plain grouping."""
    token, feature = codes.nonzero(as_tuple=True)
    pairs = pl.DataFrame(
        {"feature": feature.numpy(), "token_id": ids[token].numpy(), "value": codes[token, feature].double().numpy()}
    )
    counts = pl.DataFrame({"token_id": ids.numpy()}).group_by("token_id").agg(token_count=pl.len().cast(pl.Int64))
    share, fired = pl.col("total") / pl.col("total").sum(), pl.col("fired") / pl.col("fired").sum()
    found = pairs.group_by("feature", "token_id").agg(fired=pl.len().cast(pl.Int64), total=pl.col("value").sum())
    found = found.join(counts, on="token_id").with_columns(
        share=share.over("feature"),
        lift=fired.over("feature") / (pl.col("token_count") / len(ids)),
        mean_activation=pl.col("total") / pl.col("token_count"),
    )
    found = found.sort("feature", "share", "token_id", descending=[False, True, False])
    rank = pl.int_range(1, pl.len() + 1).over("feature").alias("rank")
    columns = ("feature", "rank", "token_id", "fired", "token_count", "mean_activation", "share", "lift")
    return found.with_columns(rank).select(columns)


def test_totals_by_token_are_those_of_pairs() -> None:
    chance = torch.Generator().manual_seed(6)
    ids, codes = torch.randint(0, 12, (500,), generator=chance), torch.randn(500, 9, generator=chance).relu()
    codes[:, 4] = 0
    totals = TokenTotals(9, 14)
    for first in range(0, 500, 61):
        totals.update(codes[first : first + 61], ids[first : first + 61])
    oracle = _top_tokens(codes, ids)
    assert_frame_equal(totals.top_tokens(6), oracle.filter(pl.col("rank") <= 6), check_dtypes=False, rel_tol=1e-6)
    assert totals.top_tokens(20).height == oracle.height
    top = totals.top_tokens(5)
    explained = TokenExplanations(top, 14)
    scores = ExplanationScores(explained.features)
    scores.update(explained.simulate(ids), codes[:, explained.features])
    found = totals.scores(explained.simulate(torch.arange(14)), explained.features)
    assert_frame_equal(found, scores.scores(), check_dtypes=False, rel_tol=1e-5)
    assert 4 not in found["feature"]
    with pytest.raises(ValueError, match=r"^token_ids: 14 is not allowed: 0 to 13"):
        totals.update(codes[:1], torch.tensor([14]))
    with pytest.raises(ValueError, match=r"^codes: shape \(1, 9\)"):
        totals.update(codes[:1], ids[:2])


def test_an_explanation_is_scored_on_odd_documents_only(
    dictionaries: dict[str, Dictionary], stream: TokenBatch
) -> None:
    """The scores of plain code on those tokens, with expectations of the others."""
    state, _ = _passed(dictionaries, stream, 37)
    top = state.top_tokens(4)
    tokens = top.rename({"share": "value"}).drop("mean_activation", "token_count")
    expected = with_mean_activations(tokens, state.summary(), described_counts(_places(stream), VOCABULARY))
    assert_frame_equal(
        expected.sort("dictionary", "feature", "rank").select("mean_activation"),
        top.sort("dictionary", "feature", "rank").select("mean_activation"),
    )
    scoring = ScoringPass(DictionarySet(dictionaries), VOCABULARY)
    for batch in _cut(stream, 44):
        scoring.update(batch)
    found = scoring.scores(expected)
    odd = stream.documents % 2 == 1
    assert set(found["tokens"]) == {int(odd.sum())}
    assert "dead" not in found["dictionary"]
    for name in ("one", "two", "both"):
        explained = TokenExplanations(top.filter(dictionary=name), VOCABULARY)
        scores = ExplanationScores(explained.features)
        codes = _codes(dictionaries[name], stream)[odd][:, explained.features]
        scores.update(explained.simulate(stream.token_ids[odd]), codes)
        mine = found.filter(dictionary=name).drop("dictionary")
        assert_frame_equal(mine, scores.scores(), check_dtypes=False, rel_tol=1e-4)


def test_explanations_say_tokens_and_lifts() -> None:
    tokens = pl.DataFrame(
        {
            "dictionary": ["d", "d", "d", "d"],
            "feature": [3, 3, 3, 5],
            "rank": [2, 1, 3, 1],
            "token": [' "good"', " great", "\n", "the"],
            "lift": [2.25, 31.4, 0.9, 0.4],
        }
    )
    assert explanation_texts(tokens).rows() == [
        ("d", 3, 'fires on " great" (lift 31), " \\"good\\"" (lift 2.3)'),
        ("d", 5, NO_TOKEN),
    ]


def test_groups_stay_within_bounds_and_encode_alike(dictionaries: dict[str, Dictionary], stream: TokenBatch) -> None:
    groups = list(grouped(dictionaries, VOCABULARY, cells=16 * VOCABULARY))
    assert [list(group.dictionaries) for group in groups] == [["one", "dead"], ["two"], ["both"]]
    whole = DictionarySet(dictionaries)
    codes = torch.cat([group.encode(stream.activations) for group in groups], dim=1)
    assert torch.equal(codes, whole.encode(stream.activations))
    numbers = pl.DataFrame({"feature": [0, 7, 8, 13, 34]})
    named = whole.named(numbers)
    assert named.rows() == [("one", 0), ("one", 7), ("dead", 0), ("two", 0), ("both", 5)]
    assert whole.numbered(named)["feature"].to_list() == numbers["feature"].to_list()
    with pytest.raises(ValueError, match=r"^dictionary: two reads 'tuned/a': there are base/a"):
        groups[1].encode({"base/a": stream.activations["base/a"]})
    with pytest.raises(ValueError, match=r"^dictionaries: there is none"):
        DictionarySet({})


def test_partners_are_seen_from_both_sides(stream: TokenBatch) -> None:
    base, tuned = _dictionary("base", "base/a", 6), _dictionary("tuned", "tuned/a", 6)
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    with torch.no_grad():
        base.decoder.copy_(torch.eye(6, WIDTH))
        tuned.decoder.copy_(torch.eye(6, WIDTH)[order])
    trained = {name: Trained(name, "a", "small", "relu", 0) for name in ("base", "tuned")}
    pairs = {"base": base, "tuned": tuned}
    matched = matches(comparisons(trained), pairs)
    assert matched.select("dictionary", "other", "comparison").unique().rows() == [("base", "tuned", "tuning")]
    found = partners(matched).sort("dictionary", "feature")
    mine = found.filter(dictionary="tuned")
    assert mine["matched_feature"].to_list() == order.tolist()
    assert found.filter(dictionary="base")["matched_feature"].to_list() == order.argsort().tolist()
    assert set(found["matched_cosine"]) == {1.0}
    state = FeaturePass(DictionarySet(pairs | {"other": _dictionary("other", "base/a", 3, bias=-1e6)}), VOCABULARY)
    state.update(stream)
    texts = pl.Series("token", [f"<{number}>" for number in range(VOCABULARY)])
    unembedding = torch.eye(VOCABULARY, WIDTH)
    written = pl.concat([written_tokens(name, one, unembedding, 2) for name, one in pairs.items()])
    tokens = token_rows(state.top_tokens(3), written, texts)
    rows = feature_rows(state.summary(), tokens, matched)
    assert rows.height == 15
    assert rows.filter(dictionary="base", feature=2)["raised_tokens"].to_list()[0][0] == "<2>"
    assert rows.filter(dictionary="tuned", feature=0)["raised_tokens"].to_list()[0][0] == "<2>"
    other = rows.filter(dictionary="other")
    assert other["top_tokens"].to_list() == other["raised_tokens"].to_list() == [[]] * 3
    assert other["matched_dictionary"].null_count() == other["matched_feature"].null_count() == 3
    assert set(rows.filter(dictionary="tuned")["matched_dictionary"]) == {"base"}


def test_nothing_to_match_gives_an_empty_frame() -> None:
    matched = matches([], {})
    assert matched.is_empty()
    assert partners(matched).is_empty()


def test_a_crosscoder_writes_by_its_tuned_part() -> None:
    crosscoder = _crosscoder("both")
    crosscoder.input_scale[WIDTH:] = 2.0
    unembedding = torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(9))
    found = written_tokens("both", crosscoder, unembedding, 1).filter(role="raised")
    logits = crosscoder.decoder.detach()[:, WIDTH:] / 2 @ unembedding.T
    assert found["token_id"].to_list() == logits.argmax(1).tolist()
    np.testing.assert_allclose(found["value"], logits.amax(1), rtol=1e-5)


def test_surroundings_end_with_the_document(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = token_texts(tokenizer)
    assert texts[tokenizer("a")["input_ids"][0]] == "a"
    words = ["one fine", "day"]
    ids = [tokenizer(word)["input_ids"] for word in words]
    places = TokenPlaces(
        np.concatenate(ids).astype(np.int32),
        np.repeat([4, 9], list(map(len, ids))).astype(np.int64),
        np.concatenate([np.arange(len(part)) for part in ids]).astype(np.int32),
    )
    found = surroundings(places, np.array([0, 5, 7, 8, 10]), texts, reach=3)
    assert found.select("row", "document", "position", "before", "token", "after").rows() == [
        (0, 4, 0, "", "o", "ne "),
        (5, 4, 5, "e f", "i", "ne"),
        (7, 4, 7, "fin", "e", ""),
        (8, 9, 0, "", "d", "ay"),
        (10, 9, 2, "da", "y", ""),
    ]


def _written(root: Path, stream: TokenBatch, site: str, shards: list[slice], ids: Tensor | None = None) -> Path:
    folder = ShardFolder.create(
        root, ActivationKey("model", site, "corpus", "float32"), width=WIDTH, shard_tokens=TOKENS
    )
    for number, part in enumerate(shards):
        columns = shard_columns(
            stream.documents[part].numpy(),
            stream.positions[part].numpy(),
            (stream.token_ids if ids is None else ids)[part].numpy(),
        )
        folder.write(number, columns, stream.activations[site][part].contiguous())
    return folder.path


def test_streams_are_read_in_step(stream: TokenBatch, tmp_path: Path) -> None:
    cut = [slice(0, 250), slice(250, TOKENS)]
    shards = {name: ActivationShards(_written(tmp_path, stream, name, cut)) for name in ("base/a", "tuned/a")}
    batches = list(read_in_step(shards, 100))
    for name in shards:
        assert torch.equal(torch.cat([batch.activations[name] for batch in batches]), stream.activations[name])
    assert torch.equal(torch.cat([batch.rows for batch in batches]), stream.rows)
    places = token_places(shards["base/a"])
    assert places.token_ids.tolist() == stream.token_ids.tolist()
    assert places.documents.tolist() == stream.documents.tolist()
    kept = batches[0].kept(batches[0].documents == 1)
    assert kept.rows.tolist() == list(range(12, 24))


def test_streams_of_other_tokens_are_refused(stream: TokenBatch, tmp_path: Path) -> None:
    whole = [slice(0, TOKENS)]
    first = ActivationShards(_written(tmp_path / "1", stream, "base/a", whole))
    other = stream.token_ids.clone()
    other[333] += 1
    changed = ActivationShards(_written(tmp_path / "2", stream, "tuned/a", whole, other))
    short = ActivationShards(_written(tmp_path / "3", stream, "tuned/a", [slice(0, 100)]))
    with pytest.raises(ValueError, match=r"^streams: b has other token_ids than a after token 300$"):
        list(read_in_step({"a": first, "b": changed}, 100))
    with pytest.raises(ValueError, match=r"^streams: b has 100 tokens: allowed are the 600 of a$"):
        list(read_in_step({"a": first, "b": short}, 100))
    with pytest.raises(ValueError, match=r"^streams: there is none"):
        list(read_in_step({}, 100))
    cut = ActivationShards(_written(tmp_path / "4", stream, "tuned/a", [slice(0, 200), slice(200, TOKENS)]))
    with pytest.raises(ValueError, match=r"^streams: shard 0 of b has 200 tokens: allowed are the 600 of a;"):
        list(read_in_step({"a": first, "b": cut}, 100))
