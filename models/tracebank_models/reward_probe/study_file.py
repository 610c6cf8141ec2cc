"""Studies of a TOML file: models and studies by name, every field checked. What a study is, is in `study`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.reward_probe.study import METHODS, ModelSource, Study, ladder_studies

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")


def read_studies(path: Path) -> dict[str, Study]:
    """Studies of a TOML file: `[models.NAME]` with source and revision, `[studies.NAME]` with base, method and tuned.

    `base` names a model of the file or a size of the ladder, `tuned` a model of the file.

    Raises:
        ValueError: The file cannot be read, a field is missing, unknown or not allowed, or a name is taken.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"studies: {path} cannot be read ({error})") from None
    taken = {name.casefold() for name in (*RECIPES, *ladder_studies())}
    models: dict[str, ModelSource] = {}
    for name, fields in _tables(content, "models", path, taken):
        _check_fields(f"models.{name}", fields, {"source"}, {"revision"})
        models[name] = ModelSource(name, fields["source"], fields.get("revision"))
        if models[name].trained_here and "revision" in fields:
            raise ValueError(f"models.{name}.revision: {fields['revision']!r} is not allowed: a recipe has none")
    found = {}
    for name, fields in _tables(content, "studies", path, taken):
        _check_fields(f"studies.{name}", fields, {"base", "method"}, {"tuned"})
        found[name] = _study(name, fields, models)
    return found


def _tables(content: dict[str, Any], section: str, path: Path, taken: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """Tables of a section by name; the names are added to those that are taken."""
    if unknown := sorted(set(content) - {"models", "studies"}):
        raise ValueError(f"studies: {path} has a section {unknown[0]!r}: allowed are models and studies")
    tables = content.get(section, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"studies: {section} of {path} holds what is no table: allowed is [{section}.NAME]")
    for name in tables:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{section}: {name!r} is not allowed: 1 to 60 of A to Z, a to z, 0 to 9, - and _")
        # Models and tuned models share a table and a folder, where some systems do not tell a from A.
        if name.casefold() in taken:
            raise ValueError(f"{section}: {name!r} is taken by another model or study: allowed is another name")
        taken.add(name.casefold())
    return list(tables.items())


def _check_fields(where: str, fields: dict[str, Any], needed: set[str], optional: set[str]) -> None:
    missing, unknown = needed - set(fields), set(fields) - needed - optional
    wrong = [name for name, value in fields.items() if not isinstance(value, str) or not value]
    if missing or unknown or wrong:
        named = ", ".join(sorted({*missing, *unknown, *wrong}))
        raise ValueError(
            f"{where}: {named} missing, unknown or no text: allowed are {', '.join(sorted(needed))} and, if wanted,"
            f" {', '.join(sorted(optional))}"
        )


def _study(name: str, fields: dict[str, str], models: Mapping[str, ModelSource]) -> Study:
    bases = {size: ModelSource(size, size) for size in RECIPES} | dict(models)
    elsewhere = {name: model for name, model in models.items() if not model.trained_here}
    for role, known in (("base", bases), ("tuned", elsewhere)):
        if role in fields and fields[role] not in known:
            allowed = f"one of {', '.join(known)}" if known else "a model of the file that is not trained here"
            raise ValueError(f"studies.{name}.{role}: {fields[role]!r} is not known: {allowed}")
    method = fields["method"]
    if method not in METHODS or (method == "loaded") != ("tuned" in fields):
        raise ValueError(f"studies.{name}.method: {method!r} is not allowed: ppo or dpo, or loaded with a tuned model")
    tuned = models[fields["tuned"]] if "tuned" in fields else None
    return Study(name, bases[fields["base"]], method, tuned)  # type: ignore[arg-type]
