"""A process that runs a job whose one step takes a slot of a pool and then sleeps: killed or stopped by its tests.

Usage: pooled_run.py in_process|executor, for a run as the commands make it or as the UI and `dg` do.
"""

from __future__ import annotations

import sys
import time

import dagster as dg

from tracebank.cli.faults import report
from tracebank.settings import Settings
from tracebank_assets import runs
from tracebank_assets.dagster_home import dagster_instance
from tracebank_assets.executors import executor_named

POOL = "gpu"


@dg.asset(pool=POOL)
def sleeper() -> None:
    """Say that the step runs, and sleep."""
    sys.__stdout__.write("running\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]
    time.sleep(600)


def sleeping_job() -> dg.JobDefinition:
    """Found by name in the process that runs it."""
    return DEFS.resolve_job_def("sleep")


DEFS = dg.Definitions(
    assets=[sleeper],
    jobs=[dg.define_asset_job("sleep", selection=[sleeper])],
    executor=executor_named("in_process"),
)


def main() -> None:
    """Run the job."""
    runs.defs = DEFS
    with dagster_instance(Settings.load()) as instance:
        if sys.argv[1] == "in_process":
            runs.run_job("sleep", instance)
        else:
            dg.execute_job(dg.reconstructable(sleeping_job), instance)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        sys.exit(report(error))
