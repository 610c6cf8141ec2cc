"""Rows of others taken in: checked first, then written in one transaction with an entry in the ledger.

The same rows again change nothing. What a unit had of the same kind (texts, an explanation of the same words) is
written over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tracebank.explorer.api_answers import Refused, parsed
from tracebank.explorer.exchange import RANDOM, TOP
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.explorer import UnitSummary, UnitText
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.sparse_autoencoder import Feature, FeatureExplanation

ASSET: Final = "explorer/imported"
"""What the ledger calls rows of others."""
_SOURCE: Final = re.compile(r"(top|random)|quantile:([1-5])")
_PLACE: Final = re.compile(r"(\d{1,15})(?::(\d{1,15}))?")
_Row = TypeVar("_Row", bound="NeuronpediaRow")


class NeuronpediaRow(msgspec.Struct):
    """What every row has: the number of its unit. Names of model and layer are those of the address."""

    index: int | str

    def number(self, count: int) -> int:
        """Of the unit.

        Raises:
            Refused: the dictionary has no such unit.
        """
        return _number(self.index, count)


class FeatureRow(NeuronpediaRow, kw_only=True):
    """A feature."""

    maxActApprox: float  # noqa: N815
    frac_nonzero: float
    pos_str: list[str] = []
    neg_str: list[str] = []
    freq_hist_data_bar_values: list[float] = []
    freq_hist_data_bar_heights: list[float] = []


class ActivationRow(NeuronpediaRow, kw_only=True):
    """A text."""

    tokens: list[str]
    values: list[float]
    dataSource: str | None = None  # noqa: N815
    dataIndex: str | int | None = None  # noqa: N815


class ExplanationRow(NeuronpediaRow, kw_only=True):
    """An explanation."""

    description: str
    typeName: str  # noqa: N815
    explanationModelName: str = ""  # noqa: N815


class Example(msgspec.Struct):
    """A text of Anthropic's JSON."""

    tokens: list[str]
    tokens_acts_list: list[float]


class Quantile(msgspec.Struct):
    """Texts of one strength."""

    quantile_name: str
    examples: list[Example]


class AnthropicFeature(msgspec.Struct):
    """Anthropic's JSON of a feature."""

    index: float
    examples_quantiles: list[Quantile]
    top_logits: list[str] | None = None
    bottom_logits: list[str] | None = None


def rows_of(sent: bytes, kind: type[_Row]) -> list[_Row]:
    """Rows as a JSON array, or one a line.

    Raises:
        Refused: what was sent is something else.
    """
    return parsed("rows", sent, list[kind], lines=sent.lstrip()[:1] != b"[")  # type: ignore[valid-type]


def take_features(relational: RelationalStore, dictionary: str, count: int, rows: Sequence[FeatureRow]) -> None:
    """Features with their logits and histograms; one that is not there yet is made."""
    taken = {}
    for row in rows:
        number = row.number(count)
        _finite(number, (row.maxActApprox, row.frac_nonzero, *row.freq_hist_data_bar_heights))
        if not 0 <= row.frac_nonzero <= 1:
            raise Refused(f"frac_nonzero of {number}: {row.frac_nonzero} is not allowed; allowed: 0 to 1")
        taken[number] = row
    with relational.session() as session:
        _make(session, relational, dictionary, taken)
        for number, row in taken.items():
            said = {"density": row.frac_nonzero, "max_activation": row.maxActApprox}
            logits = {"raised_tokens": _kept(row.pos_str), "lowered_tokens": _kept(row.neg_str)}
            session.execute(_unit(dictionary, number).values(**said, **logits))
        summaries = [
            {
                "dictionary": dictionary,
                "feature": number,
                "tokens": 0,
                "min_activation": min(row.freq_hist_data_bar_values),
                "max_activation": row.maxActApprox,
                "histogram": [round(height) for height in row.freq_hist_data_bar_heights],
            }
            for number, row in taken.items()
            if row.freq_hist_data_bar_heights and row.freq_hist_data_bar_values
        ]
        _summarize(session, relational, dictionary, summaries)
        _enter(session, relational, dictionary, [msgspec.to_builtins(row) for row in rows])


def take_activations(relational: RelationalStore, dictionary: str, count: int, rows: Sequence[ActivationRow]) -> None:
    """Texts of units: those of a unit that is among the rows are written over."""
    texts: dict[int, list[tuple[str, int, int, int, list[str], list[float]]]] = {}
    for row in rows:
        number = row.number(count)
        source = _SOURCE.fullmatch(row.dataSource or "top")
        stratum, fifth = (source[1] or "quantile", int(source[2] or 0)) if source else ("top", 0)
        place = _PLACE.fullmatch(str(row.dataIndex or "0"))
        document, first = (int(place[1]), int(place[2] or 0)) if place else (0, 0)
        texts.setdefault(number, []).append((stratum, fifth, document, first, row.tokens, row.values))
    _take_texts(relational, dictionary, texts, [msgspec.to_builtins(row) for row in rows])


def take_explanations(relational: RelationalStore, dictionary: str, count: int, rows: Sequence[ExplanationRow]) -> None:
    """Explanations of units; one of the same words by the same explainer stays as it is."""
    said: dict[tuple[int, str, str, str], None] = {}
    for row in rows:
        number = row.number(count)
        for name, value, most in (
            ("typeName", row.typeName, 32),
            ("explanationModelName", row.explanationModelName, 200),
        ):
            if len(value) > most or "\0" in value:
                raise Refused(f"{name} of {number}: is not allowed; allowed: up to {most} characters, no NUL")
        words = row.description.replace("\0", "\N{SYMBOL FOR NULL}")
        said[number, row.typeName, row.explanationModelName, words] = None
    now = datetime.now(UTC)
    with relational.session() as session:
        _require(session, dictionary, {number for number, *_ in said})
        standing = select(
            FeatureExplanation.feature,
            FeatureExplanation.method,
            FeatureExplanation.explainer,
            FeatureExplanation.text,
        ).where(FeatureExplanation.dictionary == dictionary)
        new = [key for key in said if key not in set(map(tuple, session.execute(standing)))]
        made = [
            {
                "explanation": sha256(json.dumps([dictionary, *key]).encode()).hexdigest(),
                "dictionary": dictionary,
                "feature": key[0],
                "method": key[1],
                "explainer": key[2],
                "text": key[3],
                "prompt": "",
                "answer": "",
                "prompt_hash": "",
                "explained_at": now,
            }
            for key in new
        ]
        relational.upsert(session, FeatureExplanation, made)
        _enter(session, relational, dictionary, [msgspec.to_builtins(row) for row in rows])


def take_anthropic(relational: RelationalStore, dictionary: str, count: int, number: int, sent: bytes) -> None:
    """A feature of Anthropic's JSON: its texts and logits are written over."""
    told = parsed("feature", sent, AnthropicFeature)
    if told.index != number or number >= count:
        raise Refused(f"index: {told.index} is not allowed; allowed: {number}, as in the address")
    others = [one.quantile_name for one in told.examples_quantiles if not _kind(one.quantile_name)]
    texts = []
    for group in told.examples_quantiles:
        # Names differ from lab to lab: what is neither the top nor random stands in order, the strongest first.
        fifth = 0 if _kind(group.quantile_name) else 5 - others.index(group.quantile_name) * 5 // len(others)
        stratum = _kind(group.quantile_name) or "quantile"
        texts += [(stratum, fifth, 0, 0, one.tokens, one.tokens_acts_list) for one in group.examples]
    logits = {"raised_tokens": told.top_logits, "lowered_tokens": told.bottom_logits}
    changed = {name: _kept(tokens) for name, tokens in logits.items() if tokens is not None}
    _take_texts(relational, dictionary, {number: texts}, [msgspec.to_builtins(told)], changed)


def _kind(name: str) -> str:
    words = name.lower()
    return "top" if words == TOP.lower() or words.startswith("top") else "random" if RANDOM.lower() in words else ""


def _take_texts(
    relational: RelationalStore,
    dictionary: str,
    texts: dict[int, list[tuple[str, int, int, int, list[str], list[float]]]],
    said: Sequence[Any],
    changed: dict[str, list[str]] | None = None,
) -> None:
    rows, summaries = [], []
    for number, mine in texts.items():
        for _, _, _, _, tokens, values in mine:
            _finite(number, values)
            if not tokens or len(tokens) != len(values):
                raise Refused(f"texts of {number}: {len(tokens):,} tokens and {len(values):,} values; allowed: as many")
        rows += _ranked(dictionary, number, mine)
        highest = [max(values) for *_, values in mine]
        lowest = [min(values) for *_, values in mine]
        if mine:
            extent = {"min_activation": min(lowest), "max_activation": max(highest)}
            tokens_read = sum(len(values) for *_, values in mine)
            summary = {"dictionary": dictionary, "feature": number, "tokens": tokens_read, "histogram": []}
            summaries.append(summary | extent)
    with relational.session() as session:
        _require(session, dictionary, set(texts))
        old = (UnitText.dictionary == dictionary) & UnitText.feature.in_(list(texts))
        relational.replace(session, UnitText, old, rows)
        for number in texts if changed else ():
            session.execute(_unit(dictionary, number).values(**(changed or {})))
        _summarize(session, relational, dictionary, summaries, only_new=True)
        _enter(session, relational, dictionary, said)


def _ranked(
    dictionary: str, number: int, texts: Sequence[tuple[str, int, int, int, list[str], list[float]]]
) -> list[dict[str, Any]]:
    """Rows of `unit_texts`: the strongest text of a stratum and fifth is its first."""
    ranks: dict[tuple[str, int], int] = {}
    rows = []
    for stratum, fifth, document, first, tokens, values in sorted(texts, key=lambda text: -max(text[5])):
        rank = ranks[stratum, fifth] = ranks.get((stratum, fifth), 0) + 1
        place = {"stratum": stratum, "quantile": fifth, "rank": rank, "document": document, "first_position": first}
        extent = {"min_activation": min(values), "max_activation": max(values), "max_token": values.index(max(values))}
        said = {"tokens": _kept(tokens), "activations": values}
        rows.append({"dictionary": dictionary, "feature": number, **place, **extent, **said})
    return rows


def _kept(tokens: Sequence[str]) -> list[str]:
    return [token.replace("\0", "\N{SYMBOL FOR NULL}") for token in tokens]


def _number(index: int | str, count: int) -> int:
    text = str(index)
    if text.isascii() and text.isdecimal() and len(text) < 11 and int(text) < count:
        return int(text)
    raise Refused(f"index: {text[:100]!r} is not allowed; allowed: 0 to {count - 1}")


def _finite(number: int, values: Sequence[float]) -> None:
    if not all(map(math.isfinite, values)):
        raise Refused(f"values of {number}: one is not finite")


def _unit(dictionary: str, number: int) -> Any:
    return update(Feature).where(Feature.dictionary == dictionary, Feature.feature == number)


def _standing(session: Session, table: Any, dictionary: str) -> set[int]:
    return set(session.scalars(select(table.feature).where(table.dictionary == dictionary)))


def _require(session: Session, dictionary: str, wanted: set[int]) -> None:
    if lacking := sorted(wanted - _standing(session, Feature, dictionary)):
        raise Refused(f"features {lacking[:8]} of {dictionary!r} are not stored; send rows of features first")


def _make(session: Session, relational: RelationalStore, dictionary: str, wanted: dict[int, FeatureRow]) -> None:
    """Rows of features that are not there yet: what the rows do not tell is nought."""
    lacking = sorted(wanted.keys() - _standing(session, Feature, dictionary))
    unknown = {"tokens": 0, "fired": 0, "density": 0.0, "mean_activation": 0.0, "max_activation": 0.0}
    lists: dict[str, list[str]] = {"top_tokens": [], "raised_tokens": [], "lowered_tokens": []}
    rows = [{"dictionary": dictionary, "feature": number, **unknown, **lists} for number in lacking]
    relational.upsert(session, Feature, rows)


def _summarize(
    session: Session, relational: RelationalStore, dictionary: str, rows: list[dict[str, Any]], only_new: bool = False
) -> None:
    """Write summaries; what our own reading found stands where only few texts are known."""
    standing = _standing(session, UnitSummary, dictionary) if only_new else set()
    relational.upsert(session, UnitSummary, [row for row in rows if row["feature"] not in standing])


def _enter(session: Session, relational: RelationalStore, dictionary: str, rows: Sequence[Any]) -> None:
    """Tell the ledger, by which pages know that they have changed."""
    version = sha256(msgspec.json.encode(rows)).hexdigest()[:16]
    now = datetime.now(UTC)
    entry = {
        "run_id": f"import-{version}", "asset_key": ASSET, "partition": dictionary, "code_version": "",
        "data_version": version, "input_versions": {}, "rows": len(rows), "bytes": 0, "seconds": 0.0,
        "peak_memory": 0, "device": "cpu", "started_at": now, "finished_at": now, "content": "", "parts": [],
    }  # fmt: skip
    relational.upsert(session, Materialization, [entry])
