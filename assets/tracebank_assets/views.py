"""Views of all groups: what each lists in its module `views`, none of them listed here.

They are asked for by the explorer as it starts: neither Dagster nor what computes is imported.
"""

import pkgutil
from importlib import import_module
from importlib.util import find_spec

import tracebank_assets
from tracebank.explorer.views import View


def found() -> list[View]:
    """Views of the groups in the order of their names, each group's in its own order."""
    views: list[View] = []
    for group in pkgutil.iter_modules(tracebank_assets.__path__, "tracebank_assets."):
        if group.ispkg and find_spec(f"{group.name}.views"):
            views += import_module(f"{group.name}.views").VIEWS
    return views
