"""Runs of Dagster and the processes that compute them: a run whose process died does not stay 'started' for ever.

A process holds `<home>/held/runs/<run id>` while it computes a run, whatever launched it. Dagster's monitoring of runs
asks the launcher whether a run's process lives, which Dagster's own launcher cannot tell; `HeldRunLauncher` can.
"""

from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from tracebank import holds
from tracebank.settings import Settings


def living(settings: Settings, run_id: str) -> AbstractContextManager[None]:
    """Tell, for the length of the block, that this process computes the run."""
    return holds.held(settings.home, f"runs/{run_id}")


def file_of(settings: Settings, run_id: str) -> Path:
    """The file that the process of a run holds."""
    return settings.home / "held" / "runs" / run_id


def end_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Mark the runs of this home whose processes died as failed, and free their slots of pools."""
    for path in sorted(file_of(settings, "").glob("*")):
        with holds.left_behind(path, settings.home) as who:
            run = instance.get_run_by_id(path.name) if who is not None else None
            if run is not None:  # else its process lives, or another instance of Dagster knows it
                _end(instance, run, f"The process of this run has died: {who}")
                path.unlink(missing_ok=True)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    elif not run.is_finished:
        instance.report_run_failed(run, why)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


class HeldRunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher of runs on this machine, which can tell whether a run's process lives (see `dagster.yaml`)."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED where a process computed the run and died; what no process of this home holds counts as running."""
        settings = Settings.load()
        path = file_of(settings, run.run_id)
        if holds.is_held(path, settings.home):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process has died: {holds.holder(path)}")
