"""Where the steps of a run are computed, by name: Dagster's own executors, each imported when it is chosen.

Nothing of that kind is written here; what is added is that a run's process tells that it lives. `tracebank demo` and
`tracebank ingest` always compute in their own process.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import dagster as dg
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.in_process import InProcessExecutor

from tracebank.settings import Settings, SettingsError
from tracebank_assets.living_runs import living
from tracebank_assets.pool_waits import take_over_waits
from tracebank_assets.stops import noted_stops

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
    definition = _dagsters(name)
    create = definition.executor_creation_fn
    assert create is not None
    schema: Any = definition.config_schema
    return dg.ExecutorDefinition(
        name=definition.name,
        config_schema=schema,
        requirements=definition.get_requirements,
        executor_creation_fn=lambda context: _Living(create(context)),
        description=definition.description,
    )


def _dagsters(name: str) -> dg.ExecutorDefinition:
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


class _Living(dg.Executor):
    """An executor whose process tells that it computes the run for as long as it does."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> RetryMode:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        settings, run_id = Settings.load(), plan_context.run_id
        with noted_stops() as stops, living(settings, run_id):
            # An executor with steps in other processes must hear of those that end while one waits.
            if isinstance(self._inner, InProcessExecutor):
                take_over_waits(plan_context.instance, settings, run_id, stops)
            yield from self._inner.execute(plan_context, execution_plan)
