"""Units as partitions, a key for each dictionary or layer of neurons; with the model and the texts that they read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import dagster as dg

from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.materialised import Materialised, materialised
from tracebank_assets.studies import settings_of, studies, study_named
from tracebank_models.language_model.corpora import ReviewCorpus
from tracebank_models.reward_probe.study import CORPUS_SHARDS, HELD_OUT, Study
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    import torch

    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.neuron_graphs.unit_study import UnitsOfModel
    from tracebank_models.sparse_autoencoder.architectures import Dictionary

UNITS: Final = dg.DynamicPartitionsDefinition(name="units")
"""A partition for each dictionary, or layer of neurons, that somebody asked for: `small/layers.3.neurons`."""
NEURONS: Final = "neurons"
"""Architecture, and last part of the site, of a layer of neurons."""
MADE_OF: Final = "made_of"
"""Metadata: what graphs and scores were made of, beside their config."""
_LAYER: Final = re.compile(rf"(?P<model>.+)/(?P<site>layers\.(?P<layer>\d+)\.{NEURONS})")


@dataclass(frozen=True, slots=True)
class Units:
    """The units of a dictionary, or of a layer of neurons."""

    name: str
    model: LanguageModel
    site: str
    layer: int | None
    study: Study
    """Whose texts they are read on."""
    row: SparseAutoencoder | None
    """What the catalogue says of a dictionary; None of a layer of neurons."""

    def coder(self) -> "Dictionary":
        """What gives the units' activations, of those of the site.

        Raises:
            dg.Failure: its files are gone.
        """
        from pathlib import Path

        from tracebank_models.sparse_autoencoder.architectures import build
        from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary
        from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig

        if self.row is None:
            width = self.model.mlp_size
            return build(DictionaryConfig(name=NEURONS, architecture=NEURONS, d_in=width, d_sae=width)).eval()
        try:
            return load_dictionary(Path(self.row.path))
        except FileNotFoundError as error:
            raise dg.Failure(f"{error}; materialise sparse_features/dictionaries again") from None

    def corpus(self, loaded: "LoadedModel") -> "TokenCorpus":
        """Texts that neither the model was trained on nor the dictionary: of a dictionary the study's held-out ones.

        Models of the ladder read code too, so that their neurons are asked about both.
        """
        from tracebank_models.activations.corpus import TokenCorpus
        from tracebank_models.language_model.offline_corpus import unseen_sources

        shards = range(CORPUS_SHARDS) if self.row is None else [HELD_OUT]
        documents = [document for shard in shards for document in self.study.captured_documents(shard)]
        if self.row is None and isinstance(self.study.data.corpus, ReviewCorpus) and self.study.base.trained_here:
            documents += unseen_sources(len(documents) // 2)
        texts = [document.text for document in documents]
        return TokenCorpus.from_texts(texts, loaded.tokenizer, max_tokens=self.study.effort.max_tokens)

    def made_of(self) -> str:
        """Hash of the weights of model and dictionary, and of what their texts are."""
        told = settings_of(self.study, ("data", "documents", "max_tokens"))
        weights = self.row.weights_hash or self.row.dictionary if self.row else ""
        return sha256(f"{self.model.weights_hash} {weights} {told}".encode()).hexdigest()

    def as_dictionary(self) -> dict[str, object]:
        """A layer of neurons as a row of `sparse_autoencoders`."""
        config = self.coder().config
        return {
            "dictionary": self.name,
            "study": self.name,
            "seed": 0,
            "side": "tuned" if self.model.parent else "base",
            "model": self.model.model,
            "model_hash": self.model.weights_hash,
            "site": self.site,
            "layer": self.layer,
            "size": NEURONS,
            "architecture": NEURONS,
            "d_in": config.d_in,
            "d_sae": config.d_sae,
            "init_seed": 0,
            "tokens": 0,
            "steps": 0,
            "config": config.as_dict(),
            "weights_hash": self.model.weights_hash,
            "path": self.model.path,
            "trained_at": datetime.now(UTC),
        }


def units_of(relational: RelationalStore, name: str) -> Units:
    """The units of a name: a dictionary of the catalogue, or `MODEL/layers.N.neurons`.

    Raises:
        dg.Failure: it is neither, the model is not in the catalogue or has no such layer, or no study has its texts.
    """
    layer = _LAYER.fullmatch(name)
    if layer is not None:
        model = catalogued(relational, layer["model"])
        if int(layer["layer"]) >= model.layers:
            raise dg.Failure(f"units: {name!r} is not allowed: layers of {model.model!r} are 0 to {model.layers - 1}")
        return Units(name, model, layer["site"], int(layer["layer"]), _study_of(model.model), None)
    with relational.reading() as session:
        row = session.get(SparseAutoencoder, name)
        if row is None or row.side == "both":
            raise dg.Failure(
                f"units: {name!r} is not allowed: MODEL/layers.N.{NEURONS}, or a dictionary of"
                " relational.sparse_autoencoders that is no crosscoder"
            )
        session.expunge(row)
    study = study_named(f"{row.study}-seed{row.seed}") or _study_of(row.model)
    return Units(name, catalogued(relational, row.model), row.site, row.layer, study, row)


def all_layers(relational: RelationalStore, name: str) -> list[str]:
    """Names of units: `MODEL/neurons` stands for every layer of a model, and any other name for itself.

    Raises:
        dg.Failure: see `units_of`.
    """
    model, _, last = name.rpartition("/")
    if last != NEURONS or not model:
        return [units_of(relational, name).name]
    return [f"{model}/layers.{layer}.{NEURONS}" for layer in range(catalogued(relational, model).layers)]


def _study_of(model: str) -> Study:
    """The study that a model is of; of a base one of those that share it, which have its texts."""
    name = model.partition("@")[0]
    of_base = next((study for study in studies().values() if study.base.name == name), None)
    if (study := study_named(name) or of_base) is None:
        raise dg.Failure(f"units: no study has model {name!r}; allowed are those of {', '.join(studies())}")
    return study


@contextmanager
def made_of_units(
    context: dg.AssetExecutionContext, stores: Stores
) -> "Iterator[tuple[Materialised, Units, UnitsOfModel]]":
    """Materialise an asset of a run's units with their model and texts, computed on the device of the settings.

    Raises:
        dg.Failure: see `units_of`.
        ValueError: there is no such device here.
    """
    units = units_of(stores.relational, context.partition_key)
    device = prepared_device(stores.settings, units.study.effort.threads)
    with materialised(context, stores) as made:
        made.device = str(device)
        made.inputs["units"] = units.made_of()
        yield made, units, read_by(stores.relational, units, device)


def read_by(relational: RelationalStore, units: Units, device: "torch.device") -> "UnitsOfModel":
    """Units with their model, their dictionary and their texts, loaded.

    Raises:
        dg.Failure: a file is gone.
    """
    from tracebank_models.neuron_graphs.unit_study import UnitsOfModel

    loaded = load_catalogued(relational, units.model.model, device)
    return UnitsOfModel(loaded.model, loaded.tokenizer, units.site, units.coder().to(device), units.corpus(loaded))
