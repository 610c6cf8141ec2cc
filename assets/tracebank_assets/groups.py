"""Finding the groups: every asset, check, job, schedule and sensor in the modules of this package, none of them listed.

A group is a package, or one module, directly under `tracebank_assets`. Its modules hold definitions at their top level,
never a `Definitions` object, beside which Dagster would drop them in silence.
"""

import gc
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import dagster as dg

import tracebank_assets
from tracebank_assets.code_version import forget_sources

_ABOVE: Final = ("commands", "definitions", "runs")
"""What uses the definitions: no groups, and not to be imported while those are gathered."""
_KINDS: Final[dict[str, tuple[type[Any], ...]]] = {
    "asset_checks": (dg.AssetChecksDefinition,),
    "assets": (dg.AssetsDefinition,),
    "jobs": (dg.JobDefinition, type(dg.define_asset_job("any"))),
    "schedules": (dg.ScheduleDefinition,),
    "sensors": (dg.SensorDefinition,),
}
"""Arguments of `Definitions`, and the types of what goes there; the first that fits takes it."""


def group_modules() -> Iterator[ModuleType]:
    """Modules of every group."""
    for found in pkgutil.iter_modules(tracebank_assets.__path__, "tracebank_assets."):
        if found.name.partition(".")[2] in _ABOVE:
            continue
        module = import_module(found.name)
        inside = pkgutil.walk_packages(module.__path__, f"{found.name}.") if found.ispkg else ()
        for one in (found, *inside):
            yield import_module(one.name)


def definitions_found() -> dict[str, list[Any]]:
    """Everything that the groups define, by argument of `Definitions`."""
    found: dict[str, dict[int, Any]] = {kind: {} for kind in _KINDS}
    with _no_collection():
        for module in group_modules():
            for value in vars(module).values():
                kind = next((kind for kind, types in _KINDS.items() if isinstance(value, types)), None)
                if kind:  # one that is imported elsewhere, too, is one
                    found[kind][id(value)] = value
        forget_sources()
    return {kind: list(values.values()) for kind, values in found.items()}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from going again and again through the sources that are read: a third of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
