"""Graphs and scores of units of a dictionary, out of a corpus: documents with an even number make them, odd ones test.

What some hundred units do on the whole corpus is held in memory, a number a token and unit; the model reads it once for
each group of units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.dictionary_codes import DictionarySet
from tracebank_models.features.firing import Firing, MaximumPass
from tracebank_models.features.one_pass import FeaturePass
from tracebank_models.features.streams import TokenBatch, TokenPlaces, describes
from tracebank_models.features.token_text import surroundings, token_texts
from tracebank_models.neuron_graphs.build import UNITS_AT_ONCE, BuiltGraph, build_graphs
from tracebank_models.neuron_graphs.evaluation import GRAPH, predictions, unit_scores
from tracebank_models.neuron_graphs.graph import NODE_COLUMNS, NeuronGraph
from tracebank_models.neuron_graphs.settings import GraphSettings
from tracebank_models.neuron_graphs.strata import StrataPass, StrataSettings, documents_in_both
from tracebank_models.neuron_graphs.substitutes import CorpusSubstitutes
from tracebank_models.neuron_graphs.token_normalization import normalized_texts
from tracebank_models.neuron_graphs.told import told
from tracebank_models.neuron_graphs.units import ModelUnits
from tracebank_models.neuron_graphs.window_values import WindowValues
from tracebank_models.neuron_graphs.windows import UnitWindows, Window
from tracebank_models.sparse_autoencoder.architectures import Dictionary

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.neuron_graphs.words import Substitutes

Told = Callable[[int, int], None]
"""Told how much is done, and how much there is."""
TRAIN: Final = StrataSettings(top=10, per_quantile=8, random=0, hard_negative=10)
"""Windows that graphs are made of: those that a unit fires on, and such with the same tokens in which it is silent."""


@dataclass(frozen=True, slots=True)
class UnitStudy:
    """How graphs are made and tested."""

    graph: GraphSettings = field(default_factory=lambda: GraphSettings(start_token=False))
    """Corpora are read without a start token here."""
    train: StrataSettings = TRAIN
    test: StrataSettings = field(default_factory=StrataSettings)

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> UnitStudy:
        """The study of what `dataclasses.asdict` gave.

        Raises:
            TypeError: A field is not known.
        """
        parts = {"graph": GraphSettings, "train": StrataSettings, "test": StrataSettings}
        return cls(**{name: kind(**values[name]) for name, kind in parts.items()})


@dataclass(frozen=True, slots=True)
class UnitsOfModel:
    """Units, their model, and what they read."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    site: str
    coder: Dictionary
    corpus: TokenCorpus
    """Graphs are made of documents with an even number, and tested on those with an odd one."""

    def require_documents(self) -> None:
        """Refuse a corpus that has none to make graphs of, or none to test them on.

        Raises:
            ValueError: It has none of one kind.
        """
        for rest, kind in enumerate(("an even", "an odd")):
            if not (self.corpus.document_ids % 2 == rest).any():
                raise ValueError(f"corpus: no document has {kind} number: allowed are two documents and more")

    def batches(self, tokens: int = 8_192) -> Iterator[TokenBatch]:
        """The corpus with the site's activations, under the name that the dictionary knows it by.

        Args:
            tokens: Of a batch, see `stream_activations`.
        """
        stream = self.coder.config.sites[0]
        for one in stream_activations(self.model, self.corpus, [self.site], batch_tokens=tokens):
            activations = {stream: one.activations[self.site].float()}
            yield TokenBatch(activations, one.token_ids, one.documents, one.positions, one.rows)


@dataclass(frozen=True, slots=True)
class DescribedUnits:
    """What features are, of a layer of neurons."""

    summary: pl.DataFrame
    """See `FeaturePass.summary`."""
    top_tokens: pl.DataFrame
    """See `FeaturePass.top_tokens`."""
    examples: pl.DataFrame
    """See `FeaturePass.examples`, with the text around each (`surroundings`)."""
    texts: pl.Series
    """Text of every token, by id."""


def described_units(units: UnitsOfModel, name: str, *, tokens: int = 10) -> DescribedUnits:
    """Statistics, tokens and examples of all units of a dictionary, of documents with an even number.

    Args:
        units: The units.
        name: Of the dictionary, in the frames.
        tokens: Tokens that a unit fires on.
    """
    every = DictionarySet({name: units.coder})
    largest = MaximumPass(every)
    for batch in units.batches():
        largest.update(batch)
    texts = token_texts(units.tokenizer)
    state = FeaturePass(every, len(texts), reservoir=10, maximum=largest.maximum)
    for batch in units.batches():
        state.update(batch)
    examples = state.examples()
    rows = examples["row"].unique().sort()
    around = surroundings(_token_places(units.corpus), rows.to_numpy(), texts)
    return DescribedUnits(state.summary(), state.top_tokens(tokens), examples.join(around, on="row"), texts)


def _token_places(corpus: TokenCorpus) -> TokenPlaces:
    lengths = np.diff(corpus.starts)
    positions = np.arange(corpus.tokens) - np.repeat(corpus.starts[:-1], lengths)
    return TokenPlaces(corpus.token_ids, np.repeat(corpus.document_ids, lengths), positions.astype(np.int32))


class _Read:
    """What some units do on a corpus."""

    def __init__(self, units: UnitsOfModel, chosen: Sequence[int], written: pl.Series) -> None:
        self.places = _token_places(units.corpus)
        self.codes = torch.empty(units.corpus.tokens, len(chosen))
        columns = torch.tensor(chosen, device=units.model.device)
        with torch.no_grad():
            for batch in units.batches():
                codes = units.coder.encode(next(iter(batch.activations.values())))
                self.codes[batch.rows] = codes[:, columns].float().cpu()
        described = describes(torch.from_numpy(self.places.documents))
        self.maxima = np.maximum(self.codes[described].numpy().max(0, initial=0.0), 0.0)
        every = np.zeros(units.coder.config.d_sae, np.float32)
        every[list(chosen)] = self.maxima
        self.thresholds = Firing(DictionarySet({"": units.coder}), every).thresholds[list(chosen)]
        self.written = written

    def windows(self, settings: StrataSettings, activating: pl.DataFrame, *, described: bool) -> pl.DataFrame:
        """See `StrataPass.windows`."""
        state = StrataPass(self.thresholds, activating, self.written, settings, described=described)
        for batch in self._batches():
            state.update(self.codes[batch.rows], batch)
        return state.windows(self.places)

    def tokens(self, windows: pl.DataFrame) -> pl.DataFrame:
        """See `WindowValues.tokens`."""
        state = WindowValues(windows, self.places)
        for batch in self._batches():
            state.update(self.codes[batch.rows], batch)
        return state.tokens(self.maxima)

    def train(self, settings: StrataSettings) -> pl.DataFrame:
        """Windows that units fire in, and those with the same tokens in which they are silent."""
        firing = self.windows(replace(settings, hard_negative=0), _NO_TOKENS, described=True)
        seen = firing.filter(pl.col("stratum") != "random")
        token = self.written.gather(self.places.token_ids[seen["pivot"].to_numpy()]).alias("token")
        known = seen.select(pl.col("unit").cast(pl.Int32), token)
        whole = self.windows(settings, known, described=True)
        return whole.unique(["unit", "pivot"], keep="first", maintain_order=True)

    def examples(self, windows: pl.DataFrame) -> list[UnitWindows]:
        """The same for `build_graphs`, units counted from 0."""
        fires: dict[int, list[Window]] = {}
        silent: dict[int, list[Window]] = {}
        columns = ("unit", "stratum", "pivot", "first", "last")
        for unit, stratum, pivot, first, last in windows.select(columns).iter_rows():
            ids = tuple(self.places.token_ids[first : last + 1].tolist())
            value = float(self.codes[pivot, unit])
            one = Window(ids, pivot - first, value, bool(self.places.positions[first] > 0))
            (silent if stratum == "hard_negative" else fires).setdefault(unit, []).append(one)
        return [
            UnitWindows(
                unit,
                float(maximum),
                sorted(fires.get(unit, []), key=lambda window: -window.activation),
                silent.get(unit, []),
            )
            for unit, maximum in enumerate(self.maxima.tolist())
        ]

    def _batches(self, size: int = 65_536) -> Iterator[TokenBatch]:
        for first in range(0, len(self.codes), size):
            rows = torch.arange(first, min(first + size, len(self.codes)))
            ids, documents, positions = (
                torch.from_numpy(column[first : first + size])
                for column in (self.places.token_ids, self.places.documents, self.places.positions)
            )
            yield TokenBatch({}, ids, documents, positions, rows)


_NO_TOKENS: Final = pl.DataFrame(schema={"unit": pl.Int32, "token": pl.String})


@dataclass(frozen=True, slots=True)
class BuiltUnits:
    """Graphs of units, and what they were made of."""

    graphs: list[BuiltGraph]
    """A graph, or the reason for none, of each chosen unit, in their order."""
    examples: list[UnitWindows]
    """Their windows, and the maxima that values are shares of."""
    reader: ModelUnits
    substitutes: Substitutes


def graphs_of_units(
    units: UnitsOfModel,
    chosen: Sequence[int],
    study: UnitStudy | None = None,
    substitutes: Substitutes | None = None,
    progress: Told | None = None,
) -> BuiltUnits:
    """Graphs of units, out of documents with an even number.

    Args:
        units: All of them.
        chosen: Numbers of those wanted.
        study: How.
        substitutes: Of words; None takes those of the corpus (`CorpusSubstitutes`).
        progress: Told the units that are done.

    Raises:
        ValueError: A unit is not known, an activation is not finite, or the corpus has one document.
    """
    units.require_documents()
    how = study or UnitStudy()
    settings = replace(how.graph, activation_threshold=units.coder.fires_at)
    reader = ModelUnits(units.model, units.tokenizer, units.site, units.coder)
    written = normalized_texts(pl.Series("token", reader.texts), settings.normalize_tokens)
    other_words = substitutes or _of_corpus(units, reader)
    found: list[BuiltGraph] = []
    examples: list[UnitWindows] = []
    for first in range(0, len(chosen), UNITS_AT_ONCE):
        block = chosen[first : first + UNITS_AT_ONCE]
        read = _Read(units, block, written)
        named = [replace(one, unit=block[one.unit]) for one in read.examples(read.train(how.train))]
        found += build_graphs(reader, named, settings, other_words)
        examples += named
        if progress is not None:
            progress(len(found), len(chosen))
    return BuiltUnits(found, examples, reader, other_words)


def built_nodes(built: Sequence[BuiltGraph], dictionary: str) -> pl.DataFrame:
    """Rows of the nodes of graphs.

    Args:
        built: Graphs of units.
        dictionary: Whose units they are.

    Returns:
        Columns of `NODE_COLUMNS`, and dictionary, feature and fires_on, the token at depth 1 of a node's path.
    """
    frames = [pl.DataFrame(schema=NODE_COLUMNS)]
    frames += [one.graph.nodes() for one in built if one.graph is not None]
    units = np.repeat([one.unit for one in built if one.graph is not None], [frame.height for frame in frames[1:]])
    # Nodes come in the order of a walk from the root, so that what is below a token follows it.
    head = pl.when(pl.col("depth") == 1).then("token").forward_fill().over("feature", "trie")
    return (
        pl.concat(frames)
        .with_columns(pl.lit(dictionary).alias("dictionary"), pl.Series("feature", units, pl.Int32))
        .with_columns(fires_on=pl.when(pl.col("depth") > 0).then(head))
    )


def _of_corpus(units: UnitsOfModel, reader: ModelUnits) -> CorpusSubstitutes:
    embedding = cast("Tensor", units.model.get_input_embeddings().weight)
    train = units.corpus.chosen(units.corpus.document_ids % 2 == 0)
    return CorpusSubstitutes(train, reader.texts, embedding)


@dataclass(frozen=True, slots=True)
class ScoredUnits:
    """How well graphs and look-ups say when units fire."""

    scores: pl.DataFrame
    """See `unit_scores`."""
    texts: pl.DataFrame
    """What was scored, in words: columns feature, method and text; a row a unit and method."""
    documents_in_both: int
    """Documents of which are both windows that graphs are made of and such that they are tested on."""


def scores_of_units(
    units: UnitsOfModel,
    graphs: Mapping[int, NeuronGraph | None],
    reasons: Mapping[int, str | None],
    top_tokens: pl.DataFrame,
    study: UnitStudy | None = None,
    progress: Told | None = None,
) -> ScoredUnits:
    """Test graphs, look-ups made of the same windows, and top tokens, on documents with an odd number.

    Args:
        units: All of them.
        graphs: Of the units that are scored; None where there is none.
        reasons: Why there is none.
        top_tokens: Columns feature and token_id: what executable explanations say that a unit fires on.
        study: As for `graphs_of_units`, whose windows look-ups are made of.
        progress: Told the units that are done.

    Raises:
        ValueError: The corpus has one document.
    """
    units.require_documents()
    how = study or UnitStudy()
    texts = token_texts(units.tokenizer)
    written = normalized_texts(texts, how.graph.normalize_tokens)
    chosen, parts, seen, tested = list(graphs), [], [], []
    for first in range(0, len(chosen), UNITS_AT_ONCE):
        block = chosen[first : first + UNITS_AT_ONCE]
        read = _Read(units, block, written)
        own = {number: graph for number, unit in enumerate(block) if (graph := graphs[unit]) is not None}
        tokens = read.tokens(read.windows(how.test, _activating(own), described=False))
        train = read.tokens(read.train(how.train))
        said = _means_on(read, top_tokens.filter(pl.col("feature").is_in(block)), block)
        predicted = predictions(tokens, train, own, texts, written, said)
        numbered = pl.DataFrame(
            {"unit": range(len(block)), "reason": [reasons.get(unit) for unit in block]},
            schema={"unit": pl.Int32, "reason": pl.String},
        )
        scores = unit_scores(predicted, numbered, units.coder.fires_at)
        parts.append(scores.with_columns(pl.Series("unit", block, pl.Int32).gather(scores["unit"])))
        seen.append(train["document"].unique())
        tested.append(tokens["document"].unique())
        if progress is not None:
            progress(first + len(block), len(chosen))
    both = documents_in_both(pl.concat(seen).to_numpy(), pl.concat(tested).to_numpy())
    return ScoredUnits(pl.concat(parts), _in_words(graphs), both)


def _means_on(read: _Read, top_tokens: pl.DataFrame, block: Sequence[int]) -> pl.DataFrame:
    """What units do on average where they fire on tokens, over their maxima: columns unit, token_id and value."""
    described = describes(torch.from_numpy(read.places.documents))
    codes, ids = read.codes[described], torch.from_numpy(read.places.token_ids)[described].long()
    fires = codes > torch.from_numpy(read.thresholds)
    sums, counts = (
        torch.zeros(len(read.written), len(block)).index_add_(0, ids, part)
        for part in (torch.where(fires, codes, 0), fires.float())
    )
    means = (sums / counts / torch.from_numpy(read.maxima)).numpy()
    named = top_tokens.select(
        pl.col("feature").replace_strict(block, range(len(block)), return_dtype=pl.Int32).alias("unit"),
        pl.col("token_id").cast(pl.Int32),
    )
    value = pl.Series("value", means[named["token_id"].to_numpy(), named["unit"].to_numpy()])
    return named.with_columns(value.cast(pl.Float64)).filter(pl.col("value").is_finite())


def _in_words(graphs: Mapping[int, NeuronGraph | None]) -> pl.DataFrame:
    words = {"token_maximum": "the largest value seen on a token", "ngram_5": "the value seen on six tokens in a row"}
    rows = [(unit, GRAPH, told(graph)) for unit, graph in graphs.items()]
    rows += [(unit, method, text) for unit in graphs for method, text in words.items()]
    return pl.DataFrame(rows, schema={"feature": pl.Int32, "method": pl.String, "text": pl.String}, orient="row")


def _activating(graphs: Mapping[int, NeuronGraph]) -> pl.DataFrame:
    rows = [
        (number, child.step.token)
        for number, graph in graphs.items()
        for child in graph.match.children.values()
        if child.step.kind == "token"
    ]
    return pl.DataFrame(rows, schema=_NO_TOKENS.schema, orient="row")


Shown = list[tuple[str, float, float]]
"""Tokens of a text with what is predicted and what is true, shares of the unit's maximum."""


def values_on(units: UnitsOfModel, unit: int, maximum: float, graph: NeuronGraph | None, text: str) -> Shown:
    """What a graph says of a text, and what its unit does there.

    Args:
        units: All of them.
        unit: Its number.
        maximum: That values are shares of.
        graph: The unit's; None predicts 0.
        text: Read as corpora are, no further than the model's context.

    Raises:
        ValueError: The text has no token.
    """
    context = ModelUnits(units.model, units.tokenizer, units.site, units.coder).context
    corpus = TokenCorpus.from_texts([text], units.tokenizer, max_tokens=context)
    read = _Read(replace(units, corpus=corpus), [unit], token_texts(units.tokenizer))
    return _shown(read, slice(None), units, maximum, graph)


def values_on_strongest(
    units: UnitsOfModel, unit: int, maximum: float, graph: NeuronGraph | None, study: UnitStudy
) -> Shown:
    """The same of the text around the token of the documents with an odd number that the unit fires on most."""
    read = _Read(units, [unit], token_texts(units.tokenizer))
    windows = read.windows(study.test, _NO_TOKENS, described=False)
    first, last = windows.row(0, named=True)["first"], windows.row(0, named=True)["last"]
    return _shown(read, slice(first, last + 1), units, maximum, graph)


def _shown(read: _Read, rows: slice, units: UnitsOfModel, maximum: float, graph: NeuronGraph | None) -> Shown:
    tokens = token_texts(units.tokenizer).gather(read.places.token_ids[rows]).to_list()
    before = [""] if read.places.positions[rows][0] else []
    said = graph.predict([*before, *tokens])[len(before) :] if graph else [0.0] * len(tokens)
    true = (read.codes[rows, 0] / maximum).tolist() if maximum > 0 else [0.0] * len(tokens)
    return list(zip(tokens, said, true, strict=True))
