"""What runs the suite without anyone at the keys: jobs, and the weekly schedule."""

import os
from collections.abc import Iterator

import dagster as dg

from tracebank_assets.tsdb_benchmark.keys import DATA, REPORT, RUNS, add_to, partition_key
from tracebank_benchmarks.tsdb.engines import ENGINES, state

_IN_DEV = bool(os.environ.get("TRACEBANK_DEV"))
WEEKLY_SCALE = 0.01

DATA_JOB = dg.define_asset_job(
    "make_benchmark_data", selection=[DATA], description="Make the data sets of the time-series database suite."
)
RUN_JOB = dg.define_asset_job(
    "run_tsdb_benchmark", selection=[RUNS], description="Measure one engine at one scale, answers checked."
)
REPORT_JOB = dg.define_asset_job(
    "report_tsdb_benchmark", selection=[REPORT], description="Put the newest run of every engine side by side."
)


@dg.schedule(
    job=RUN_JOB,
    cron_schedule="40 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING if _IN_DEV else dg.DefaultScheduleStatus.STOPPED,
)
def weekly_tsdb_benchmark(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Measure every engine that is here, at the smallest scale."""
    here = [engine for engine in ENGINES if state(engine).available]
    if not here:
        yield dg.SkipReason("no engine is here; 'tracebank doctor' says what is missing")
    week = f"{context.scheduled_execution_time:%G-W%V}"
    add_to(context.instance, here, [WEEKLY_SCALE])
    for engine in here:
        yield dg.RunRequest(run_key=f"{engine}|{week}", partition_key=partition_key(engine, WEEKLY_SCALE))


@dg.schedule(
    job=REPORT_JOB,
    cron_schedule="40 5 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING if _IN_DEV else dg.DefaultScheduleStatus.STOPPED,
)
def weekly_tsdb_report(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Write the report over the week's runs."""
    return dg.RunRequest()


JOBS = [DATA_JOB, RUN_JOB, REPORT_JOB]
SCHEDULES = [weekly_tsdb_benchmark, weekly_tsdb_report]
