"""A study's dictionaries beside the held-out activations that they are read on, in step and in the corpus's order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from tracebank.stores.relational import RelationalStore
from tracebank_assets.sparse_features.study_data import corpora_of, dictionaries_of, loaded, model_of, shard_folders
from tracebank_models.reward_probe.study import HELD_OUT, Study
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    import torch

    from tracebank_models.activations.reader import ActivationShards
    from tracebank_models.features.streams import TokenPlaces
    from tracebank_models.sparse_autoencoder.architectures import Dictionary


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Dictionaries and what they read."""

    rows: dict[str, SparseAutoencoder]
    """What the catalogue says of each dictionary, by name."""
    dictionaries: "dict[str, Dictionary]"
    streams: "dict[str, ActivationShards]"
    """Held-out activations by `side/site`."""
    corpus_hash: str
    device: "torch.device"

    @property
    def tokens(self) -> int:
        """Tokens of every stream."""
        return next(iter(self.streams.values())).tokens

    def places(self) -> "TokenPlaces":
        """Which token stands where."""
        from tracebank_models.features.streams import token_places

        return token_places(next(iter(self.streams.values())))


def open_held_out(
    relational: RelationalStore,
    study: Study,
    device: "torch.device",
    chosen: Iterable[SparseAutoencoder] | None = None,
) -> HeldOut:
    """Load dictionaries of a study, and open the held-out activations of the sites that they read.

    Args:
        relational: the catalogue.
        study: the study.
        device: where dictionaries are put.
        chosen: rows of those wanted; None for all.

    Raises:
        dg.Failure: there is no dictionary, a file of one is gone or of another width than its site, or the site
            was not captured on the held-out shard.
    """
    from tracebank_models.activations.reader import ActivationShards

    rows = {row.dictionary: row for row in (dictionaries_of(relational, study) if chosen is None else chosen)}
    found = loaded(rows.values(), device)
    sites = dict.fromkeys(site for one in found.values() for site in one.config.sites)
    folders = {}
    for name in sites:
        side, _, site = name.partition("/")
        folders[name] = shard_folders(relational, study, model_of(study, side), site, [HELD_OUT])
    streams = {name: ActivationShards(*paths) for name, paths in folders.items()}
    for name, one in found.items():
        for site in one.config.sites:
            if streams[site].width != one.config.d_in:
                raise dg.Failure(
                    f"dictionary {name!r}: width {one.config.d_in} at {rows[name].path}: allowed is"
                    f" {streams[site].width}, that of {site}; materialise sparse_features/dictionaries again"
                )
    return HeldOut(rows, found, streams, corpora_of(relational, study)[HELD_OUT], device)
