"""What the relational store knows of language models: a model's row, and the model behind one."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import ColumnElement, select

from tracebank.stores.relational import RelationalStore
from tracebank_models.reward_probe.study import ModelSource
from tracebank_schemas.language_model import LanguageModel

if TYPE_CHECKING:
    import torch

    from tracebank_models.language_model.loading import LanguageModelFacts, LoadedModel


@dataclass(frozen=True, slots=True)
class Origin:
    """How a model came about, beside the facts that it carries itself."""

    method: str
    """pretraining, ppo, dpo or loaded."""
    step: int | None
    source: str
    path: str
    """Folder, or Hugging Face id."""


def model_row(facts: "LanguageModelFacts", origin: Origin) -> dict[str, object]:
    """A model as a row of `language_models`."""
    return {**asdict(facts), **asdict(origin), "catalogued_at": datetime.now(UTC)}


def loaded_from(source: ModelSource) -> Origin:
    """The origin of a model that is taken as it is."""
    # A folder is found again from any other folder; an id of the Hub stays as it is.
    folder = Path(source.source)
    return Origin("loaded", None, source.source, str(folder.absolute()) if folder.is_dir() else source.source)


def models_of(name: str) -> ColumnElement[bool]:
    """Rows of a model and of its checkpoints."""
    return (LanguageModel.model == name) | LanguageModel.model.startswith(f"{name}@", autoescape=True)


def catalogued(relational: RelationalStore, name: str) -> LanguageModel:
    """The row of a model.

    Raises:
        dg.Failure: there is none; the message says what to materialise.
    """
    with relational.reading() as session:
        found = session.get(LanguageModel, name)
        if found is None:
            raise dg.Failure(f"model {name!r} is not in relational.language_models; materialise its partition first")
        session.expunge(found)
    return found


def checkpoints_of(relational: RelationalStore, name: str) -> list[LanguageModel]:
    """A tuned model and its checkpoints, in order of the steps."""
    with relational.reading() as session:
        found = list(session.scalars(select(LanguageModel).where(models_of(name)).order_by(LanguageModel.step)))
        session.expunge_all()
    return found


def require_one_tokenizer(tuned: str, its: str, base: str, bases: str) -> None:
    """Refuse two models that would not read the same tokens.

    Args:
        tuned: name of the tuned model.
        its: hash of its tokenizer.
        base: name of the base.
        bases: hash of the base's tokenizer.

    Raises:
        dg.Failure: the hashes differ.
    """
    if its != bases:
        raise dg.Failure(f"tokenizer: {tuned!r} has {its[:12]}: allowed is that of its base {base!r}, {bases[:12]}")


def load_catalogued(relational: RelationalStore, name: str, device: "torch.device") -> "LoadedModel":
    """Load the model behind a row, and see that its weights and its tokenizer are those of the row.

    Raises:
        dg.Failure: there is no row, or weights or tokenizer are others.
    """
    from tracebank_models.language_model.loading import load_language_model

    row = catalogued(relational, name)
    revision = None if Path(row.path).is_dir() else row.revision
    loaded = load_language_model(row.path, revision, label=name, device=str(device))
    for what, found, known in (
        ("weights", loaded.facts.weights_hash, row.weights_hash),
        ("tokenizer", loaded.facts.tokenizer_hash, row.tokenizer_hash),
    ):
        if found != known:
            raise dg.Failure(
                f"model {name!r}: {what} at {row.path}: {found[:12]} is not what was catalogued, {known[:12]};"
                " materialise it again"
            )
    return loaded
