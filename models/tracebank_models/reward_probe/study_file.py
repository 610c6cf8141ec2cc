"""Studies of a TOML file: models and studies by name, every field checked. What a study is, is in `study`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tracebank_models.language_model.checked_settings import changed_settings, check_names, read_settings
from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.reward_probe.study import Effort, Method, ModelSource, Seed, Study, ladder_studies

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
_EFFORT: Final = tuple(Effort.__dataclass_fields__)


class _File(msgspec.Struct, frozen=True):
    """The sections; what stands in each is read by its name."""

    models: dict[str, Any] = {}
    studies: dict[str, Any] = {}


class _Model(msgspec.Struct, frozen=True):
    source: _Text
    revision: _Text | None = None


class _Study(msgspec.Struct, frozen=True):
    """What a study says beside its effort."""

    base: _Text
    method: Method
    tuned: _Text | None = None
    seeds: tuple[Seed, ...] = (0,)


def read_studies(path: Path) -> dict[str, Study]:
    """Studies of a TOML file: `[models.NAME]` with source and revision, `[studies.NAME]` with base, method and tuned.

    `base` names a model of the file or a size of the ladder, `tuned` a model of the file. A study may set any field of
    its `Effort`; the others are those of its base's size. Folders are relative to the file.

    Raises:
        ValueError: The file cannot be read, a field is missing, unknown or not allowed, or a name is taken.
    """
    file = _sections(path)
    taken = {name.casefold() for name in (*RECIPES, *ladder_studies())}
    _check_file_names({"models": file.models, "studies": file.studies}, taken)
    models = {name: _model(name, table, path.parent) for name, table in file.models.items()}
    return {name: _study(name, table, models) for name, table in file.studies.items()}


def _sections(path: Path) -> _File:
    try:
        # A byte order mark is what some editors write; TOML has none.
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"studies: {path} cannot be read ({error})") from None
    return read_settings(_File, content, "")


def _check_file_names(sections: Mapping[str, Iterable[str]], taken: set[str]) -> None:
    for section, names in sections.items():
        for name in names:
            if not _NAME.fullmatch(name):
                allowed = "1 to 60 of A to Z, a to z, 0 to 9, - and _"
                raise ValueError(f"{section}: {name!r} is not allowed: {allowed}")
            # Models and tuned models share a table and a folder, where some systems do not tell a from A.
            if name.casefold() in taken:
                raise ValueError(f"{section}: {name!r} is taken by another model or study: allowed is another name")
            taken.add(name.casefold())


def _model(name: str, table: Any, folder: Path) -> ModelSource:
    said = read_settings(_Model, table, f"models.{name}")
    if said.source in RECIPES and said.revision is not None:
        raise ValueError(f"models.{name}.revision: {said.revision!r} is not allowed: a recipe has none")
    beside = folder / said.source
    return ModelSource(name, str(beside) if beside.is_dir() else said.source, said.revision)


def _study(name: str, table: Any, models: Mapping[str, ModelSource]) -> Study:
    where = f"studies.{name}"
    if not isinstance(table, dict):
        raise ValueError(f"{where}: {table!r} is not allowed; allowed: a table")
    check_names(table, (*_Study.__struct_fields__, *_EFFORT), where)
    effort = {field: value for field, value in table.items() if field in _EFFORT}
    said = read_settings(_Study, {field: value for field, value in table.items() if field not in effort}, where)
    base = _known(f"{where}.base", said.base, {size: ModelSource(size, size) for size in RECIPES} | dict(models))
    elsewhere = {name: model for name, model in models.items() if not model.trained_here}
    tuned = None if said.tuned is None else _known(f"{where}.tuned", said.tuned, elsewhere)
    if (said.method == "loaded") != (tuned is not None):
        raise ValueError(f"{where}.method: {said.method!r} is not allowed: ppo or dpo, or loaded with a tuned model")
    if not said.seeds or len(set(said.seeds)) < len(said.seeds):
        raise ValueError(f"{where}.seeds: {list(said.seeds)} is not allowed; allowed: one or more, each once")
    own = changed_settings(base.effort, effort, where) if effort else None
    return Study(name, base, said.method, tuned, seeds=said.seeds, own_effort=own)


def _known(where: str, name: str, known: Mapping[str, ModelSource]) -> ModelSource:
    if name not in known:
        allowed = f"one of {', '.join(known)}" if known else "a model of the file that is not trained here"
        raise ValueError(f"{where}: {name!r} is not known: {allowed}")
    return known[name]
