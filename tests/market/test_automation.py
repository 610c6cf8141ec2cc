"""The sensor of new files and the daily schedule: what they ask Dagster to run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank_assets.definitions import defs
from tracebank_assets.market.automation import daily_market_load, new_market_files
from tracebank_assets.runs import run_job
from tracebank_models.market.synthetic_exchange import SyntheticMarket, write_day
from tracebank_schemas.ingest import ClosingBook

MARKET = SyntheticMarket(day=date(2024, 8, 8), duration_s=20, venues=("synthetic_a",))


def _tick(instance: dg.DagsterInstance) -> object:
    with dg.build_sensor_context(instance=instance, resources={"stores": Stores()}, definitions=defs) as context:
        return new_market_files(context)


def _aged(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        os.utime(path, (time.time() - 60, time.time() - 60))
    return files


def test_the_sensor_registers_new_files_and_then_loads_what_they_hold(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    write_day(MARKET, home.incoming)
    files = _aged(home.incoming)
    first = _tick(instance)
    assert isinstance(first, dg.SensorResult)
    assert [request.job_name for request in first.run_requests or []] == ["register_files"] * len(files)

    run_job("register_files", instance, ops={"market__raw_files": {"paths": [str(path) for path in files]}})
    second = _tick(instance)
    assert isinstance(second, dg.SensorResult)
    loads = {str(r.partition_key): r for r in second.run_requests or [] if r.job_name == "load_market_day"}
    assert set(loads) == {"2024-08-08|SYNBTC", "2024-08-08|SYNETH"}
    assert [request.run_key for request in second.run_requests or []][: len(files)] == [
        request.run_key for request in first.run_requests or []
    ], "a file that has not changed must not be registered by a second run"


def test_the_sensor_loads_a_day_again_when_the_book_before_it_changed(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    store = Stores().relational
    row = {
        "venue": "v", "symbol": "X", "seq": 1, "after_snapshot": False, "state": "whole", "bids_from": None,
        "asks_to": None, "bid_levels": 0, "ask_levels": 0, "levels": "",
    }  # fmt: skip

    def asked(first: str, second_opened_on: str | None) -> list[tuple[str | None, str | None]]:
        days = [
            {**row, "day": date(2024, 8, 8), "content": first, "opened_on": ""},
            {**row, "day": date(2024, 8, 9), "content": "b", "opened_on": second_opened_on},
        ]
        with store.session() as session:
            store.upsert(session, ClosingBook, days)
        found = _tick(instance)
        requests = found.run_requests or [] if isinstance(found, dg.SensorResult) else []
        return [(request.partition_key, request.run_key) for request in requests]

    assert asked("a", "a") == []
    ((partition, key),) = asked("a", "")
    assert partition == "2024-08-09|X"
    assert asked("a", None) == [(partition, key)], "a load that was cut short is asked for too"
    ((again, other),) = asked("c", "a")
    assert (again == partition, other == key) == (True, False)


def test_a_file_that_is_still_being_written_is_left_alone(home: Settings, instance: dg.DagsterInstance) -> None:
    write_day(MARKET, home.incoming)
    assert isinstance(_tick(instance), dg.SkipReason)


def test_the_daily_schedule_loads_the_day_that_ended(home: Settings, instance: dg.DagsterInstance) -> None:
    write_day(MARKET, home.incoming)
    run_job("register_files", instance)

    def requests(at: datetime) -> list[object]:
        with dg.build_schedule_context(
            instance=instance, resources={"stores": Stores()}, scheduled_execution_time=at
        ) as context:
            return list(daily_market_load(context))

    due = requests(datetime(2024, 8, 9, 0, 20, tzinfo=UTC))
    assert [str(r.partition_key) for r in due if isinstance(r, dg.RunRequest)] == [
        "2024-08-08|SYNBTC",
        "2024-08-08|SYNETH",
    ]
    assert isinstance(requests(datetime(2024, 8, 10, 0, 20, tzinfo=UTC))[0], dg.SkipReason)


def test_automation_runs_by_itself_only_in_dev() -> None:
    assert daily_market_load.default_status == dg.DefaultScheduleStatus.STOPPED
    assert new_market_files.default_status == dg.DefaultSensorStatus.STOPPED


def test_automation_runs_by_itself_in_dev() -> None:
    code = (
        "from tracebank_assets.market.automation import daily_market_load as schedule, new_market_files as sensor;"
        "print(schedule.default_status.value, sensor.default_status.value)"
    )
    environment = {**os.environ, "TRACEBANK_DEV": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["RUNNING", "RUNNING"]
