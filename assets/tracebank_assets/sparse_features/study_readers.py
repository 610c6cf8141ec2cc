"""Models of a study with the small dictionaries that probes read them through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracebank.progress import Advance
from tracebank.stores.relational import RelationalStore
from tracebank_assets.sparse_features.study_data import dictionaries_of
from tracebank_models.reward_probe.study import Study

if TYPE_CHECKING:
    import torch

    from tracebank_models.sparse_autoencoder.architectures import Dictionary


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """The small dictionaries of one side of a study, in the order of the layers."""

    coders: "dict[str, Dictionary]"
    """By site."""
    names: dict[str, str]
    """Full name, by site."""


def small_dictionaries(relational: RelationalStore, study: Study, side: str, device: "torch.device") -> Dictionaries:
    """Load the small dictionaries of the paper's plan.

    Raises:
        dg.Failure: there is none.
    """
    from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary

    rows = dictionaries_of(relational, study, side=side, size="small", plan_only=True)
    rows.sort(key=lambda row: (row.layer is None, row.layer or 0, row.site))
    return Dictionaries(
        {row.site: load_dictionary(Path(row.path)).to(device) for row in rows},
        {row.site: row.dictionary for row in rows},
    )


def advancing(advance: Advance) -> Callable[[int, int], None]:
    """A bar's way to be told how much is done in all."""
    before = 0

    def tell(done: int, _total: int) -> None:
        nonlocal before
        advance(done - before)
        before = done

    return tell


def rounded(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Figures for metadata, without those that are not defined."""
    return {name: round(value, 4) for name, value in figures.items() if value is not None}
