"""Running jobs of the code location in this process, for commands: quiet, recorded in Dagster, one-line errors."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from tracebank.settings import Settings
from tracebank_assets.definitions import defs
from tracebank_assets.living_runs import living
from tracebank_assets.pool_waits import take_over_waits
from tracebank_assets.stops import noted_stops

_QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailed(RuntimeError):
    """A run did not succeed: what failed and why, one line."""

    def __init__(self, message: str, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.metadata = metadata or {}
        """What the failed step told of it, as `dg.Failure` takes it."""


def run_job(
    name: str,
    instance: dg.DagsterInstance,
    *,
    partition_key: str | None = None,
    assets: Collection[dg.AssetKey] | None = None,
    ops: Mapping[str, Mapping[str, Any]] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job to its end; Ctrl-C and SIGTERM end it and the command.

    Args:
        name: the job's name.
        instance: where the run is recorded.
        partition_key: the partition to make, for a partitioned job.
        assets: only these of the job's.
        ops: config by asset, as in Dagster's run config.

    Raises:
        RunFailed: a step failed; the message is the first failed step's own error.
        KeyboardInterrupt: Ctrl-C.
        SystemExit: SIGTERM.
    """
    settings, run_id = Settings.load(), str(uuid.uuid4())
    job = defs.resolve_job_def(name)
    config = {**_QUIET, "ops": {op: {"config": dict(values)} for op, values in (ops or {}).items()}}
    with noted_stops() as stops, living(settings, run_id):
        take_over_waits(instance, settings, run_id, stops)
        try:
            result = job.execute_in_process(
                run_config=config,
                instance=instance,
                partition_key=partition_key,
                asset_selection=None if assets is None else list(assets),
                raise_on_error=False,
                run_id=run_id,
            )
        finally:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
            stops.leave()
    if not result.success:
        raise RunFailed(*_reason(result))
    return result


def _reason(result: dg.ExecuteInProcessResult) -> tuple[str, Mapping[str, Any]]:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            error = data.error.cause if data.error and data.error.cause else data.error
            text = error.message.strip() if error else "unknown error"
            told = data.user_failure_data.metadata if data.user_failure_data else {}
            return f"{event.step_key}: {text.split(': ', 1)[-1]}", told
    return f"run {result.run_id} failed before its first step; see it in the UI ('tracebank dev')", {}
