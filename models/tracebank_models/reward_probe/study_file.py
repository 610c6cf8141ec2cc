"""Studies of a TOML file, with the models, corpora, rewards and preference sets that they name; every field is checked.

What a study is, is in `study`; what an entry may say, in the registries of `language_model`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import msgspec

from tracebank_models.checked_settings import changed_settings, check_names, read_settings
from tracebank_models.language_model.corpora import CorpusEntry, ReviewCorpus
from tracebank_models.language_model.preference_sets import PreferenceEntry, SampledPreferences
from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.language_model.rewards import VADER, ClassifierEntry, LexiconEntry, RewardEntry, ScoresEntry
from tracebank_models.language_model.table_files import FileEntry, Text
from tracebank_models.reward_probe.study import Effort, Method, ModelSource, Seed, Study, ladder_studies
from tracebank_models.reward_probe.study_data import StudyData

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_Entry = TypeVar("_Entry")
_EFFORT: Final = tuple(Effort.__dataclass_fields__)


class _File(msgspec.Struct, frozen=True):
    """The sections; what stands in each is read by its name."""

    models: dict[str, Any] = {}
    corpora: dict[str, Any] = {}
    rewards: dict[str, Any] = {}
    preferences: dict[str, Any] = {}
    studies: dict[str, Any] = {}


class _Model(msgspec.Struct, frozen=True):
    source: Text
    revision: Text | None = None
    corpus: Text | None = None
    pretraining: dict[str, Any] = {}


class _Study(msgspec.Struct, frozen=True):
    """What a study says beside its effort."""

    base: Text
    method: Method
    tuned: Text | None = None
    seeds: tuple[Seed, ...] = (0,)
    reward: Text = VADER
    words: Text | None = None
    corpus: Text | None = None
    preferences: Text = "sampled"


@dataclass(frozen=True, slots=True)
class _Known:
    """What studies of a file may name."""

    models: Mapping[str, ModelSource]
    corpora: Mapping[str, CorpusEntry]
    rewards: Mapping[str, RewardEntry]
    preferences: Mapping[str, PreferenceEntry]


def read_studies(path: Path) -> dict[str, Study]:
    """Studies of a TOML file: `[studies.NAME]`, and a table for each model, corpus, reward and preference set.

    `base` names a model of the file or a size of the ladder, `tuned` a model of the file. A study may set any field of
    its `Effort`; the others are those of its base's size. Paths are relative to the file.

    Raises:
        ValueError: The file cannot be read, a field is missing, unknown or not allowed, or a name is taken.
    """
    file, folder = _sections(path), path.absolute().parent
    _check_names_of(file)
    corpora: dict[str, CorpusEntry] = {"product_reviews": ReviewCorpus()}
    rewards: dict[str, RewardEntry] = {VADER: LexiconEntry()}
    preferences: dict[str, PreferenceEntry] = {"sampled": SampledPreferences()}
    corpora |= _entries(CorpusEntry, "corpora", file.corpora, folder)
    rewards |= _entries(RewardEntry, "rewards", file.rewards, folder)
    preferences |= _entries(PreferenceEntry, "preferences", file.preferences, folder)
    models = {name: _model(name, table, corpora, folder) for name, table in file.models.items()}
    known = _Known(models, corpora, rewards, preferences)
    return {name: _study(name, table, known) for name, table in file.studies.items()}


def _sections(path: Path) -> _File:
    try:
        # A byte order mark is what some editors write; TOML has none.
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"studies: {path} cannot be read ({error})") from None
    return read_settings(_File, content, "")


def _check_names_of(file: _File) -> None:
    # Models and tuned models share a table and a folder, where some systems do not tell a from A.
    models = {name.casefold() for name in (*RECIPES, *ladder_studies())}
    for section in _File.__struct_fields__:
        taken = models if section in ("models", "studies") else {VADER, "product_reviews", "sampled"}
        for name in getattr(file, section):
            if not _NAME.fullmatch(name):
                allowed = "1 to 60 of A to Z, a to z, 0 to 9, - and _"
                raise ValueError(f"{section}: {name!r} is not allowed: {allowed}")
            if name.casefold() in taken:
                raise ValueError(f"{section}: {name!r} is taken by another one: allowed is another name")
            taken.add(name.casefold())


def _entries(kind: Any, section: str, tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Entries of a registry, whose kinds are a union of structs."""
    kinds = {one.__struct_config__.tag: one for one in get_args(kind)}
    found = {}
    for name, table in tables.items():
        where = f"{section}.{name}"
        said = table.get("kind") if isinstance(table, dict) else None
        if said not in kinds:
            raise ValueError(f"{where}.kind: {said!r} is not allowed; allowed: one of {', '.join(kinds)}")
        fields = {field: value for field, value in table.items() if field != "kind"}
        entry = read_settings(kinds[said], fields, where)
        found[name] = entry.beside(folder, where) if isinstance(entry, FileEntry | ClassifierEntry) else entry
    return found


def _model(name: str, table: Any, corpora: Mapping[str, CorpusEntry], folder: Path) -> ModelSource:
    said, where = read_settings(_Model, table, f"models.{name}"), f"models.{name}"
    if said.source in RECIPES and said.revision is not None:
        raise ValueError(f"{where}.revision: {said.revision!r} is not allowed: a recipe has none")
    if said.source not in RECIPES and (said.corpus is not None or said.pretraining):
        field = "pretraining" if said.corpus is None else "corpus"
        raise ValueError(f"{where}.{field}: {getattr(said, field)!r} is not allowed: the model is not trained here")
    beside = folder / said.source
    source = str(beside) if beside.is_dir() and said.source not in RECIPES else said.source
    corpus = ReviewCorpus() if said.corpus is None else _named(f"{where}.corpus", said.corpus, corpora)
    training = None
    if said.pretraining:
        training = changed_settings(RECIPES[said.source].pretraining, said.pretraining, f"{where}.pretraining")
    return ModelSource(name, source, said.revision, corpus, training)


def _study(name: str, table: Any, known: _Known) -> Study:
    where = f"studies.{name}"
    if not isinstance(table, dict):
        raise ValueError(f"{where}: {table!r} is not allowed; allowed: a table")
    check_names(table, (*_Study.__struct_fields__, *_EFFORT), where)
    effort = {field: value for field, value in table.items() if field in _EFFORT}
    said = read_settings(_Study, {field: value for field, value in table.items() if field not in effort}, where)
    base = _named(f"{where}.base", said.base, {size: ModelSource(size, size) for size in RECIPES} | dict(known.models))
    elsewhere = {name: model for name, model in known.models.items() if not model.trained_here}
    tuned = None if said.tuned is None else _named(f"{where}.tuned", said.tuned, elsewhere)
    if (said.method == "loaded") != (tuned is not None):
        raise ValueError(f"{where}.method: {said.method!r} is not allowed: ppo or dpo, or loaded with a tuned model")
    if not said.seeds or len(set(said.seeds)) < len(said.seeds):
        raise ValueError(f"{where}.seeds: {list(said.seeds)} is not allowed; allowed: one or more, each once")
    own = changed_settings(base.effort, effort, where) if effort else None
    return Study(name, base, said.method, tuned, said.seeds, own, _data(where, said, base, known))


def _data(where: str, said: _Study, base: ModelSource, known: _Known) -> StudyData:
    reward = _named(f"{where}.reward", said.reward, known.rewards)
    if isinstance(reward, ScoresEntry) and said.method == "ppo":
        raise ValueError(f"{where}.reward: {said.reward!r} is not allowed: ppo asks for the reward of texts of its own")
    if said.preferences != "sampled" and said.method == "ppo":
        raise ValueError(f"{where}.preferences: {said.preferences!r} is not allowed: ppo learns from no pairs")
    lexicons = {name: one for name, one in known.rewards.items() if isinstance(one, LexiconEntry)}
    return StudyData(
        reward,
        None if said.words is None else _named(f"{where}.words", said.words, lexicons),
        base.corpus if said.corpus is None else _named(f"{where}.corpus", said.corpus, known.corpora),
        _named(f"{where}.preferences", said.preferences, known.preferences),
    )


def _named(where: str, name: str, known: Mapping[str, _Entry]) -> _Entry:
    if name not in known:
        allowed = f"one of {', '.join(known)}" if known else "a model of the file that is not trained here"
        raise ValueError(f"{where}: {name!r} is not known: {allowed}")
    return known[name]
