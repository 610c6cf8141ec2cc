"""Every table of both stores in one place, found and not listed: each module of this package is looked through.

A new module's tables are here as soon as its file is. Modules are looked through for what they declare at their top
level, in the order in which they declare it; a table made elsewhere, as tests make them, is none of the catalogue's.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

import tracebank_schemas
from tracebank_schemas.relational import Base
from tracebank_schemas.series import SeriesTable


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(tracebank_schemas.__path__, "tracebank_schemas."):
        if not found.ispkg:
            yield import_module(found.name)


def _series_tables() -> dict[str, SeriesTable]:
    tables: dict[str, SeriesTable] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, SeriesTable) and value.stored and tables.setdefault(value.name, value) is not value:
                raise ValueError(f"table {value.name}: declared a second time in {module.__name__}; name it otherwise")
    return tables


def _models() -> tuple[type[Base], ...]:
    declared = [value for module in _MODULES for value in vars(module).values() if isinstance(value, type)]
    # What a module imports has a table too: it belongs to the module that declares it.
    return tuple(dict.fromkeys(value for value in declared if issubclass(value, Base) and "__table__" in vars(value)))


_MODULES: Final = tuple(_modules())

TABLES: Final[dict[str, SeriesTable]] = _series_tables()
"""Tables of the time-series store, by name."""

MODELS: Final[tuple[type[Base], ...]] = _models()
"""Tables of the relational store."""

METADATA: Final = Base.metadata
"""SQLAlchemy metadata that holds every model."""
