"""What runs market assets without anyone at the keys: a job, a daily schedule, and the sensor of new files."""

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg

from tracebank.resources import Stores
from tracebank_assets.market import catalogue
from tracebank_assets.market.assets import LOADED
from tracebank_assets.market.closing_books import opening_contents, outdated_days
from tracebank_assets.market.keys import RAW_FILES, SYNTHETIC_DAY
from tracebank_assets.market.partitions import additions, partition_key

_IN_DEV = bool(os.environ.get("TRACEBANK_DEV"))
SETTLE_SECONDS = 5.0
"""A file is picked up when it has not changed for this long, so that one being copied is left alone."""

SYNTHETIC_JOB = dg.define_asset_job(
    "write_synthetic_day",
    selection=[SYNTHETIC_DAY],
    description="Write the files of one day of the synthetic exchange.",
)
SYNTHETIC_DEMO = {SYNTHETIC_DAY.to_python_identifier(): {"signal_r2": 0.3, "signal_horizon_s": 3}}
"""Config of the demo's day: it holds a signal, so that forecasters have something to find."""
REGISTER_JOB = dg.define_asset_job(
    "register_files", selection=[RAW_FILES], description="Register the files of the watched folder."
)
LOAD_JOB = dg.define_asset_job(
    "load_market_day",
    selection=dg.AssetSelection.assets(*LOADED),
    description="Every market table, bars and quality of one day and symbol.",
)


@dg.schedule(
    job=LOAD_JOB,
    cron_schedule="20 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING if _IN_DEV else dg.DefaultScheduleStatus.STOPPED,
)
def daily_market_load(context: dg.ScheduleEvaluationContext, stores: Stores) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Load the day that has ended, for every symbol that has registered files of it."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date()
    symbols = catalogue.symbols_on(stores.relational, day)
    if not symbols:
        yield dg.SkipReason(f"no registered file holds rows of {day}")
    for symbol in symbols:
        yield dg.RunRequest(partition_key=partition_key(day, symbol), run_key=f"{day}|{symbol}")


@dg.sensor(
    jobs=[REGISTER_JOB, LOAD_JOB],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING if _IN_DEV else dg.DefaultSensorStatus.STOPPED,
)
def new_market_files(stores: Stores) -> dg.SensorResult | dg.SkipReason:
    """Register files that appear in the watched folder, then load what they hold and the days that stand on it."""
    folder, relational = stores.settings.incoming, stores.relational
    requests = [_register_request(path) for path in _settled_files(folder)]
    again = [each for each in outdated_days(relational) if not catalogue.missing_files(relational, *each)]
    waiting = sorted({*catalogue.partitions_of(relational), *again})
    for day, symbol in waiting:
        made_of = [file.sha256 for file in catalogue.files_of(relational, day, symbol)]
        made_of += opening_contents(relational, day, symbol)
        run_key = f"{day}|{symbol}:{hashlib.sha256(''.join(sorted(made_of)).encode()).hexdigest()[:16]}"
        requests.append(dg.RunRequest(run_key, job_name=LOAD_JOB.name, partition_key=partition_key(day, symbol)))
    if not requests:
        return dg.SkipReason(f"nothing new in {folder}")
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions(waiting))


def _settled_files(folder: Path) -> list[Path]:
    import time

    if not folder.is_dir():
        return []
    now = time.time()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return [path for path in files if now - path.stat().st_mtime >= SETTLE_SECONDS]


def _register_request(path: Path) -> dg.RunRequest:
    state = path.stat()
    return dg.RunRequest(
        run_key=f"{path}:{state.st_size}:{state.st_mtime_ns}",
        job_name=REGISTER_JOB.name,
        run_config=dg.RunConfig(ops={"market__raw_files": {"config": {"paths": [str(path)]}}}),
    )


JOBS = [SYNTHETIC_JOB, REGISTER_JOB, LOAD_JOB]
SCHEDULES = [daily_market_load]
SENSORS = [new_market_files]
