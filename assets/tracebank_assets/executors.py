"""Where the steps of a run are computed, by name: Dagster's own executors, each imported when it is chosen.

Nothing of that kind is written here. `tracebank demo` and `tracebank ingest` always compute in their own process.
"""

from importlib import import_module
from typing import Any, Final

import dagster as dg

from tracebank.settings import SettingsError

_OF_EXTRAS: Final = {
    "docker": ("dagster_docker", "docker_executor", "docker"),
    "k8s": ("dagster_k8s", "k8s_job_executor", "kubernetes"),
    "celery": ("dagster_celery", "celery_executor", "celery"),
    "ray": ("dagster_ray", "ray_executor", "ray"),
}
"""Executors that come with an extra: module, name in it, extra."""


def executor_named(name: str) -> dg.ExecutorDefinition:
    """The executor of a name, as `TRACEBANK_EXECUTOR` gives it.

    Args:
        name: one of `tracebank.settings.EXECUTORS`.

    Raises:
        SettingsError: what it needs is not installed.
    """
    if name == "in_process":
        return dg.in_process_executor
    if name == "multiprocess":
        # A process that was forked after the embedded engine was used would hang in it.
        spawned: dg.ExecutorDefinition = dg.multiprocess_executor.configured(
            {"start_method": {"spawn": {}}}, name="multiprocess"
        )
        return spawned
    module, attribute, extra = _OF_EXTRAS[name]
    try:
        found: Any = getattr(import_module(module), attribute)
    except ImportError as error:
        raise SettingsError(
            f"TRACEBANK_EXECUTOR: {name!r} needs {module}, which cannot be imported ({error});"
            f" pip install 'tracebank[{extra}]'"
        ) from None
    if not isinstance(found, dg.ExecutorDefinition):
        raise SettingsError(f"TRACEBANK_EXECUTOR: {name!r}: {module}.{attribute} is no executor of this Dagster")
    return found
