"""Dictionaries of a study compared with one another: which two, feature by feature, and beside what chance would give.

How two are matched is in `matching`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import combinations, pairwise
from typing import Final, Literal

import polars as pl
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.matching import chance, match_features, mmcs
from tracebank_models.sparse_autoencoder.plan import SIDES, SIZES

Kind = Literal["size", "tuning", "seed"]
_KINDS: Final[Mapping[str, Kind]] = {"size": "size", "side": "tuning", "seed": "seed"}
SIMILARITY_SCHEMA: Final = {
    "dictionary": pl.String,
    "other": pl.String,
    "comparison": pl.String,
    "features": pl.Int64,
    "other_features": pl.Int64,
    "mmcs": pl.Float64,
    "chance": pl.Float64,
    "difference": pl.Float64,
}
"""Columns of `similarities`."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What tells the dictionaries of a study from one another."""

    side: str
    """base, tuned or both."""
    site: str
    size: str
    """Of `SIZES`."""
    architecture: str
    seed: int
    """Number of the initialisation, from 0."""


def trained_as(config: DictionaryConfig) -> Trained:
    """What a configuration of `plan.study_dictionaries` stands for."""
    side, _, site = config.sites[0].partition("/")
    size = next(name for name, multiple in SIZES.items() if multiple * config.d_in == config.d_sae)
    number = int(config.name.rpartition("-")[2])
    return Trained("both" if len(config.sites) > 1 else side, site, size, config.architecture, number)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two dictionaries that differ in one thing."""

    kind: Kind
    first: str
    """The smaller one, the base model's, or that of the smaller number."""
    second: str


def comparisons(trained: Mapping[str, Trained]) -> list[Comparison]:
    """Pairs that differ in nothing but side (base and tuned), initialisation, or size, which is the next larger one.

    Args:
        trained: By name of the dictionary.
    """
    order = {**{side: at for at, side in enumerate(SIDES)}, **{size: at for at, size in enumerate(SIZES)}}
    groups: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    for name, one in trained.items():
        for field in _KINDS:
            if field == "side" and one.side not in SIDES:
                continue
            value = getattr(one, field)
            rest = tuple(getattr(one, other.name) for other in fields(one) if other.name != field)
            groups.setdefault((field, *rest), []).append((order.get(value, value), name))
    found = []
    for (differing, *_), members in groups.items():
        names = [name for _, name in sorted(members)]
        pairs = pairwise(names) if differing == "size" else combinations(names, 2)
        found += [Comparison(_KINDS[str(differing)], *pair) for pair in pairs]
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def matches(pairs: Iterable[Comparison], dictionaries: Mapping[str, Dictionary]) -> pl.DataFrame:
    """Match features one to one by what they write, their decoder rows.

    Returns:
        Columns dictionary, other, comparison, feature, other_feature and cosine.

    Raises:
        ValueError: Two of a pair have other widths.
    """
    schema = {
        "dictionary": pl.String, "other": pl.String, "comparison": pl.String,
        "feature": pl.Int64, "other_feature": pl.Int64, "cosine": pl.Float64,
    }  # fmt: skip
    frames = [pl.DataFrame(schema=schema)]
    for pair in pairs:
        frame = match_features(*(dictionaries[name].decoder_rows() for name in (pair.first, pair.second)))
        named = {"dictionary": pair.first, "other": pair.second, "comparison": pair.kind}
        columns = [pl.lit(value).alias(name) for name, value in named.items()]
        frames.append(frame.rename({"matched_feature": "other_feature"}).with_columns(columns).select(*schema))
    return pl.concat(frames)


def similarities(
    pairs: Iterable[Comparison],
    dictionaries: Mapping[str, Dictionary],
    alive: Mapping[str, Tensor],
    covariances: Mapping[str, Tensor],
) -> pl.DataFrame:
    """How alike the living features of each two are, and as many random directions would be.

    A feature that fires too seldom stays where it began, and is none.

    Args:
        pairs: See `comparisons`; not of crosscoders.
        dictionaries: By name.
        alive: Features of each that fire often enough; where one of a pair has none, the pair has no row.
        covariances: Of the activations that they read, (width, width), by site.

    Returns:
        Columns of `SIMILARITY_SCHEMA`; `difference` is the similarity less its chance.

    Raises:
        ValueError: Two of a pair have other widths.
    """
    rows = []
    for pair in pairs:
        names = (pair.first, pair.second)
        living = [dictionaries[name].decoder_rows().detach().cpu()[alive[name]] for name in names]
        first, second = (len(part) for part in living)
        if first and second:
            sites = [dictionaries[name].config.sites[0] for name in names]
            found = mmcs(*living)
            expected = chance((first, second), (covariances[sites[0]], covariances[sites[1]]))
            rows.append((*names, pair.kind, first, second, found, expected, found - expected))
    return pl.DataFrame(rows, schema=SIMILARITY_SCHEMA, orient="row")
