"""Graphs of many units of one dictionary at once: prune, find salient tokens, try variants, put paths together.

What several units ask of one text is run once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from .augment import Variant, kept, variants
from .gaps import with_gaps
from .graph import NeuronGraph
from .paths import paths_of
from .prune import Pruned, PrunedText, pruned_texts
from .saliency import SalientText, Text, activating, normalised, salient
from .settings import RATIO_DIGITS, GraphSettings
from .shared_runs import Runs
from .silent_windows import drop_wrong_ends, learn_silencers
from .trie import Path
from .units import UnitReader
from .windows import UnitWindows, check_windows, usable_maximum
from .words import Substitutes

UNITS_AT_ONCE = 256
"""Units whose texts are held in memory together."""


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A unit's graph, or why there is none."""

    unit: int
    graph: NeuronGraph | None
    reason: str | None
    """One line; None where there is a graph."""
    texts: int
    """Pruned texts that it is made from."""
    variants: int
    """Variants of them that were kept."""
    truncated: bool
    """Whether a window was longer than the model's context, or does not begin where its document does."""


def build_graphs(
    reader: UnitReader,
    examples: Sequence[UnitWindows],
    settings: GraphSettings | None = None,
    substitutes: Substitutes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[BuiltGraph]:
    """Make the graphs of units.

    Args:
        reader: The units.
        examples: Windows of each, out of train documents.
        settings: All constants; None takes the defaults.
        substitutes: Where substitutes of words come from; None leaves them out.
        progress: Told how many units are done, and how many there are.

    Returns:
        One for each unit, in the order of `examples`.

    Raises:
        ValueError: A unit, pivot or token is not known.
    """
    chosen = settings or GraphSettings()
    check_windows(examples, reader.features, len(reader.texts))
    runs = Runs(reader, chosen)
    found: list[BuiltGraph] = []
    for first in range(0, len(examples), UNITS_AT_ONCE):
        found += _built(runs, examples[first : first + UNITS_AT_ONCE], chosen, substitutes)
        if progress is not None:
            progress(len(found), len(examples))
    return found


def built_rows(built: Sequence[BuiltGraph]) -> pl.DataFrame:
    """A row a unit: unit, reason, texts, variants, truncated, nodes and ends (of the trie that predicts; 0 without)."""
    kinds = [[] if one.graph is None else one.graph.nodes().filter(trie="match")["kind"].to_list() for one in built]
    return pl.DataFrame(
        {
            "unit": pl.Series([one.unit for one in built], dtype=pl.Int32),
            "reason": pl.Series([one.reason for one in built], dtype=pl.String),
            "texts": pl.Series([one.texts for one in built], dtype=pl.Int32),
            "variants": pl.Series([one.variants for one in built], dtype=pl.Int32),
            "truncated": pl.Series([one.truncated for one in built], dtype=pl.Boolean),
            "nodes": pl.Series([len(found) - found.count("end") for found in kinds], dtype=pl.Int32),
            "ends": pl.Series([found.count("end") for found in kinds], dtype=pl.Int32),
        }
    )


def _built(
    runs: Runs, examples: Sequence[UnitWindows], settings: GraphSettings, substitutes: Substitutes | None
) -> list[BuiltGraph]:
    usable = [one for one in examples if usable_maximum(one.maximum)]
    pruned = {one.unit: found for one, found in zip(usable, pruned_texts(runs, usable, settings), strict=True)}
    maxima = {one.unit: one.maximum for one in usable}
    texts = [text for found in pruned.values() for text in found.texts]
    originals = _originals(runs, texts, maxima, settings)
    varied = _variants(runs, originals, texts, maxima, settings, substitutes)
    paths = _paths(runs, texts, originals, varied, settings)
    graphs = _graphs(runs, paths, settings)
    _with_silent_windows(runs, graphs, usable, settings)
    counts = Counter(one.text.unit for _, one in varied)
    return [_outcome(one, pruned.get(one.unit), graphs, counts[one.unit]) for one in examples]


def _originals(
    runs: Runs, texts: Sequence[PrunedText], maxima: dict[int, float], settings: GraphSettings
) -> list[SalientText]:
    first = len(runs.start)
    read = runs.values([(text.ids, text.unit) for text in texts])
    found = [
        Text(text.unit, text.ids, text.pivot, one[first:], normalised(one[first:], text.scale, maxima[text.unit]))
        for text, one in zip(texts, read, strict=True)
    ]
    return salient(runs, found, settings)


def _variants(
    runs: Runs,
    originals: Sequence[SalientText],
    texts: Sequence[PrunedText],
    maxima: dict[int, float],
    settings: GraphSettings,
    substitutes: Substitutes | None,
) -> list[tuple[Variant, SalientText]]:
    if substitutes is None or settings.substitutes == 0:
        return []
    tried = variants(runs, originals, substitutes, settings)
    scaling = [(text.scale, maxima[text.unit]) for text in texts]
    fit = kept(runs, tried, [one.text for one in originals], scaling, settings)
    return list(zip([one for one, _ in fit], salient(runs, [text for _, text in fit], settings), strict=True))


def _paths(
    runs: Runs,
    texts: Sequence[PrunedText],
    originals: Sequence[SalientText],
    varied: Sequence[tuple[Variant, SalientText]],
    settings: GraphSettings,
) -> dict[int, list[Path]]:
    """Paths of each unit: of each text, then of its variants."""
    spoken = runs.reader.texts
    by_text: dict[int, list[tuple[Variant, SalientText]]] = {}
    for variant, one in varied:
        by_text.setdefault(variant.of, []).append((variant, one))
    every = [(text, one) for text, one in zip(texts, originals, strict=True)]
    every += [(texts[variant.of], one) for variant, one in varied]
    starts = _starts(runs, every, settings)
    found: dict[int, list[Path]] = {text.unit: [] for text in texts}
    for number, (text, original) in enumerate(zip(texts, originals, strict=True)):
        start = starts.get(id(original), frozenset())
        found[text.unit] += paths_of(original, spoken, settings, start_at=start)
        for variant, one in by_text.get(number, []):
            start = starts.get(id(one), frozenset())
            found[text.unit] += paths_of(one, spoken, settings, original=(original, variant), start_at=start)
    return found


def _starts(
    runs: Runs, every: Sequence[tuple[PrunedText, SalientText]], settings: GraphSettings
) -> dict[int, frozenset[int]]:
    """Of texts that begin a document, the activating tokens that a token before the text silences."""
    tried = [one for text, one in every if settings.start_of_text and text.begins and len(one.text.ids) < runs.room]
    padded = runs.values([((runs.reader.padding_id, *one.text.ids), one.text.unit) for one in tried])
    found = {}
    for one, values in zip(tried, padded, strict=True):
        ratios = values[len(runs.start) + 1 :] / np.where(one.text.values == 0, np.nan, one.text.values)
        found[id(one)] = frozenset(
            at for at in activating(one.text, settings) if round(ratios[at], RATIO_DIGITS) <= settings.prune_ratio
        )
    return found


def _graphs(runs: Runs, paths: dict[int, list[Path]], settings: GraphSettings) -> dict[int, NeuronGraph]:
    together = with_gaps(runs, paths, settings) if settings.gaps else paths
    return {
        unit: NeuronGraph.of_paths(own, normalize_tokens=settings.normalize_tokens)
        for unit, own in together.items()
        if own
    }


def _with_silent_windows(
    runs: Runs, graphs: dict[int, NeuronGraph], examples: Sequence[UnitWindows], settings: GraphSettings
) -> None:
    if settings.end_precision > 0:
        for one in examples:
            if one.unit in graphs:
                drop_wrong_ends(graphs[one.unit], one, runs.reader.texts, settings)
    if settings.negative_contexts:
        learn_silencers(runs, graphs, examples, settings)


def _outcome(one: UnitWindows, pruned: Pruned | None, graphs: dict[int, NeuronGraph], count: int) -> BuiltGraph:
    reason: str | None = None
    if pruned is None:
        reason = f"its maximum is {one.maximum:g}: a number above 0 is needed"
        return BuiltGraph(one.unit, None, reason, 0, 0, any(window.truncated for window in one.windows))
    graph = graphs.get(one.unit)
    if graph is None:
        reason = pruned.reason or "no token of its pruned texts is activating"
    elif not graph.match.children:
        graph, reason = None, "every end of its graph is wrong on too many silent windows"
    return BuiltGraph(one.unit, graph, reason, len(pruned.texts), count, pruned.truncated)
