"""What units do on a text of a user, beside what their stored graphs say of it: asked for by pages and API.

It runs in a process of its own, which keeps the model, dictionaries and graphs of the last question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import numpy as np
from sqlalchemy import func, select

from tracebank.explorer import LONGEST_TEXT
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.devices import prepared_device, threads_for
from tracebank_assets.explorer.text_answer import Asked, answer
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.neuron_graphs.catalogue import match_nodes
from tracebank_assets.neuron_graphs.keys import GRAPHS
from tracebank_assets.neuron_graphs.units import units_of
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.neuron_graphs import NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, SparseAutoencoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.neuron_graphs.many_graphs import ManyGraphs
    from tracebank_models.neuron_graphs.text_activations import UnitsAtSite

MOST_TOKENS: Final = 4_096
"""Of a text."""
MOST_TOP: Final = 50
"""Units of a token."""
MOST_UNITS: Final = 20
"""Units of a whole text."""


@dataclass(slots=True)
class _Kept:
    """What was loaded for a model."""

    key: tuple[str, str, str]
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel | None
    """None where its files are gone."""
    units: dict[str, UnitsAtSite] = field(default_factory=dict)
    graphs: dict[str, tuple[str, ManyGraphs]] = field(default_factory=dict)
    """With the moment at which they were made."""


_kept: _Kept | None = None


def activations(
    settings: Settings, model: str, text: str, dictionaries: Sequence[str] | None = None, top: int = 5
) -> dict[str, Any]:
    """Which units fire on a text, and which are said to by their graphs.

    Args:
        settings: of the home.
        model: in `language_models`.
        text: what is read, in overlapping pieces where it is longer than the model's context.
        dictionaries: of the model, or layers of its neurons; None for those with graphs, or else all.
        top: units of each token.

    Returns:
        `model`, `dictionaries`, `notice` (one line on what could not be told; empty), `tokens` and `units`. A token has
        `token`, `true` (the units with the largest share of their maxima there, most first) and `predicted` (those with
        the largest value by their graphs). `units` are those that fire most on the whole text, with `position` and
        `token` of the strongest. A unit has `dictionary`, `feature`, `activation`, `share` (of its maximum; both null
        where the model's files are gone) and `predicted` (a share too; null where it has no graph); of `units` that is
        the largest in the text.

    Raises:
        ValueError: the model, a dictionary, the text or `top` is not allowed: one line.
    """
    if not 0 < len(text) <= LONGEST_TEXT:
        raise ValueError(f"text: {len(text):,} characters are not allowed; allowed: 1 to {LONGEST_TEXT:,}")
    if not 1 <= top <= MOST_TOP:
        raise ValueError(f"top: {top} is not allowed; allowed: 1 to {MOST_TOP}")
    relational = open_relational(settings)
    try:
        rows = _asked_for(relational, model, dictionaries)
        kept = _kept_of(settings, relational, model)
        ids = _ids(kept, text)
        units, notice = _units(relational, kept, rows)
        graphs = {row.dictionary: _graphs(relational, kept, row.dictionary) for row in rows}
    finally:
        relational.close()
    asked = Asked(kept.tokenizer, kept.model if units else None, ids, [(row.dictionary, row.d_sae) for row in rows])
    found = answer(asked, units, graphs, top, MOST_UNITS)
    return {"model": model, "dictionaries": [row.dictionary for row in rows], "notice": notice, **found}


def _asked_for(relational: RelationalStore, model: str, names: Sequence[str] | None) -> list[SparseAutoencoder]:
    """Rows of the dictionaries that a question is about, whose features are rows."""
    query = (
        select(SparseAutoencoder)
        .where(
            SparseAutoencoder.model == model,
            SparseAutoencoder.side != "both",
            SparseAutoencoder.dictionary.in_(select(Feature.dictionary)),
        )
        .order_by(SparseAutoencoder.dictionary)
    )
    with relational.reading() as session:
        known = {row.dictionary: row for row in session.scalars(query)}
        drawn = set(session.scalars(select(NeuronGraph.dictionary).where(NeuronGraph.dictionary.in_(known)).distinct()))
        models = list(session.scalars(select(SparseAutoencoder.model).distinct()))
        session.expunge_all()
    if not known:
        have = f"allowed: {', '.join(sorted(models)[:8])}" if models else "materialise neuron_graphs/graphs first"
        raise ValueError(f"model: {model[:200]!r} has no units with features; {have}")
    for name in names or ():
        if name not in known:
            more = ", ..." if len(known) > 8 else ""
            raise ValueError(
                f"dictionaries: {name[:200]!r} is not allowed; allowed: {', '.join(list(known)[:8])}{more}"
            )
    chosen = names or [name for name in known if name in drawn] or list(known)
    return [known[name] for name in dict.fromkeys(chosen)]


def _kept_of(settings: Settings, relational: RelationalStore, name: str) -> _Kept:
    """What is kept of a model, loaded where it is not or could not be.

    Raises:
        ValueError: neither the model is there nor any other with its tokenizer.
    """
    global _kept
    with relational.reading() as session:
        row = session.get_one(LanguageModel, name)
        key = (str(relational.url), row.weights_hash, row.path)
        if _kept is not None and _kept.key == key and _kept.model is not None:
            return _kept
        same = select(LanguageModel.path).where(LanguageModel.tokenizer_hash == row.tokenizer_hash)
        folders = [row.path, *session.scalars(same.order_by(LanguageModel.model))]
        parameters, tokenizer_hash = row.parameters, row.tokenizer_hash
    device = prepared_device(settings, threads_for(parameters))
    _kept = None  # the one before goes first: two may not fit
    try:
        loaded = load_catalogued(relational, name, device)
    except (dg.Failure, ValueError, OSError, RuntimeError):
        _kept = _Kept(key, _tokenizer(name, folders, tokenizer_hash), None)
    else:
        _kept = _Kept(key, loaded.tokenizer, loaded.model)
    return _kept


def _tokenizer(model: str, folders: Sequence[str], tokenizer_hash: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model whose files are gone, out of the folder of any model that has the same."""
    from transformers import AutoTokenizer

    from tracebank_models.language_model.tokenizer import tokenizer_hash as hash_of

    for folder in dict.fromkeys(folders):
        if (Path(folder) / "tokenizer.json").is_file():
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            if hash_of(found) == tokenizer_hash:
                return found
    raise ValueError(f"model: the files of {model!r} are gone, its tokenizer too; materialise its partition again")


def _ids(kept: _Kept, text: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    from tracebank_models.activations.corpus import TokenCorpus

    # No character has more tokens than bytes.
    ids = TokenCorpus.from_texts([text], kept.tokenizer, max_tokens=4 * len(text)).token_ids
    if len(ids) > MOST_TOKENS:
        raise ValueError(f"text: {len(ids):,} tokens are not allowed; allowed: 1 to {MOST_TOKENS:,}")
    return ids


def _units(
    relational: RelationalStore, kept: _Kept, rows: Sequence[SparseAutoencoder]
) -> tuple[Mapping[str, UnitsAtSite], str]:
    """Dictionaries with the maxima of their units; none, and why, where files are gone."""
    from tracebank_models.neuron_graphs.text_activations import UnitsAtSite

    if kept.model is None:
        return {}, "The model's files are gone: what is shown is what graphs predict."
    for row in rows:
        if row.dictionary in kept.units:
            continue
        maxima = np.zeros(row.d_sae, np.float32)
        query = select(Feature.feature, Feature.max_activation).where(Feature.dictionary == row.dictionary)
        with relational.reading() as session:
            for feature, maximum in session.execute(query):
                maxima[feature] = maximum
        try:
            coder = units_of(relational, row.dictionary).coder().to(kept.model.device)
        except dg.Failure:
            return {}, f"The files of {row.dictionary} are gone: what is shown is what graphs predict."
        kept.units[row.dictionary] = UnitsAtSite(row.site, coder, maxima)
    return {row.dictionary: kept.units[row.dictionary] for row in rows}, ""


def _graphs(relational: RelationalStore, kept: _Kept, name: str) -> ManyGraphs | None:
    """The graphs of a dictionary's units, read again where they were made anew; None where it has none."""
    from tracebank_models.neuron_graphs.many_graphs import ManyGraphs

    newest = select(func.max(Materialization.finished_at)).where(
        Materialization.asset_key == "/".join(GRAPHS.path), Materialization.partition == name
    )
    with relational.reading() as session:
        version = str(session.scalar(newest))
    if kept.graphs.get(name, ("",))[0] != version:
        nodes, normalize = match_nodes(relational, name)
        kept.graphs[name] = version, ManyGraphs(nodes, normalize_tokens=normalize)
    graphs = kept.graphs[name][1]
    return graphs if graphs.features.size else None
