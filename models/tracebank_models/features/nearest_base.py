"""How far features of a tuned model are from every feature of its base, beside how far another seed of the base is.

Two dictionaries of one model do not find the same features, so a small cosine says nothing of tuning by itself. Each
feature's largest cosine is ranked among those that a base dictionary of another seed has with the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.comparisons import Trained

_SCHEMA: Final = {
    "dictionary": pl.String,
    "feature": pl.Int32,
    "nearest_base_cosine": pl.Float64,
    "nearest_base_p": pl.Float64,
}


def nearest_base(
    trained: Mapping[str, Trained], dictionaries: Mapping[str, Dictionary], summary: pl.DataFrame
) -> pl.DataFrame:
    """Hold the features of every tuned dictionary against a base dictionary of its site, size and architecture.

    It is one of another seed where there is one: dictionaries that start alike stay alike, whatever tuning did. With
    base dictionaries of two seeds a feature has a p-value: the rank of its cosine among those of the second one.

    Args:
        trained: What tells the dictionaries from one another, by name.
        dictionaries: The same dictionaries.
        summary: Columns dictionary, feature and fired; features that never fire have no row and are in no ranking.

    Returns:
        Columns dictionary, feature, nearest_base_cosine and nearest_base_p, null where there is no second seed.
    """
    fired = summary.filter(pl.col("fired") > 0).sort("dictionary", "feature")
    alive = {str(name): part["feature"].to_torch().long() for (name,), part in fired.group_by("dictionary")}
    found = [pl.DataFrame(schema=_SCHEMA)]
    for name, one in sorted(trained.items()):
        bases = _bases(one, trained)
        if one.side != "tuned" or not bases or name not in alive:
            continue
        rows = dictionaries[bases[0]].decoder_rows().detach()
        cosines = _nearest(dictionaries[name], alive[name], rows)
        frame = pl.DataFrame({"feature": alive[name].numpy(), "nearest_base_cosine": cosines.numpy()})
        ranks = pl.lit(None, pl.Float64)
        if len(bases) > 1 and bases[1] in alive:
            reseeded = _nearest(dictionaries[bases[1]], alive[bases[1]], rows).sort().values
            no_nearer = torch.searchsorted(reseeded, cosines, right=True)
            ranks = pl.lit(pl.Series(((1 + no_nearer.double()) / (1 + len(reseeded))).numpy()))
        frame = frame.with_columns(pl.lit(name).alias("dictionary"), ranks.alias("nearest_base_p"))
        found.append(frame.select(*_SCHEMA).cast(_SCHEMA))  # type: ignore[arg-type]
    return pl.concat(found)


def _bases(tuned: Trained, trained: Mapping[str, Trained]) -> list[str]:
    """Base dictionaries that differ from a tuned one in side, and perhaps in seed; those of another seed first."""
    alike = {
        name: one.seed
        for name, one in trained.items()
        if (one.side, one.site, one.size, one.architecture) == ("base", tuned.site, tuned.size, tuned.architecture)
    }
    return sorted(alike, key=lambda name: (alike[name] == tuned.seed, alike[name]))


def _nearest(dictionary: Dictionary, features: Tensor, others: Tensor) -> Tensor:
    """Largest cosine of each feature with any row of another dictionary."""
    rows = functional.normalize(dictionary.decoder_rows().detach()[features.to(others.device)].double(), dim=1)
    return (rows @ functional.normalize(others.double(), dim=1).T).amax(1).cpu()
