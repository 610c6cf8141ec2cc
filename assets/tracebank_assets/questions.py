"""Questions of all groups, as the demo asks them: what each group's module `questions` says, none of them listed here.

The explorer offers them on its SQL page: neither Dagster nor what computes is imported.
"""

import pkgutil
from importlib import import_module
from importlib.util import find_spec

import tracebank_assets


def found(engine: str) -> dict[str, dict[str, str]]:
    """Texts by what they ask, by group.

    Args:
        engine: of the series store, as its class has it.
    """
    groups = [one.name for one in pkgutil.iter_modules(tracebank_assets.__path__) if one.ispkg]
    modules = {group: f"tracebank_assets.{group}.questions" for group in groups}
    return {group: import_module(name).questions(engine) for group, name in modules.items() if find_spec(name)}
