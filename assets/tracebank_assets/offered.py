"""What groups offer to readers: views, and questions in SQL; each lists its own in a module of that name, none here.

The explorer asks for them as it starts: neither Dagster nor what computes is imported.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import tracebank_assets
from tracebank.explorer.views import View


def views() -> list[View]:
    """Views of the groups in the order of their names, each group's in its own order."""
    return [view for module in modules("views").values() for view in module.VIEWS]


def questions(engine: str) -> dict[str, dict[str, str]]:
    """Texts by what they ask, by group.

    Args:
        engine: of the series store, as its class has it.
    """
    return {group: module.questions(engine) for group, module in modules("questions").items()}


def modules(name: str) -> dict[str, ModuleType]:
    """Modules of a name, by their groups."""
    return dict(_modules(name))


def _modules(name: str) -> Iterator[tuple[str, ModuleType]]:
    for group in pkgutil.iter_modules(tracebank_assets.__path__):
        module = f"tracebank_assets.{group.name}.{name}"
        if group.ispkg and find_spec(module):
            yield group.name, import_module(module)
