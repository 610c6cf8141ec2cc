"""Waiting for a slot of a pool, in a run whose steps are computed in this process: told, and ended by a signal.

Dagster waits for a slot without a word, deaf to signals and without a pause between two looks. It tells the event log
first, which is where the wait is taken over; Dagster claims the slot once it is there.
"""

import sys
import time

import dagster as dg

from tracebank import holds
from tracebank.settings import Settings
from tracebank_assets.living_runs import end_dead_runs, file_of
from tracebank_assets.stops import Stops

_PAUSE = 0.5
"""Seconds between two looks."""


def take_over_waits(instance: dg.DagsterInstance, settings: Settings, run_id: str, stops: Stops) -> None:
    """Have the run wait here for its slots of pools: who holds them is told on stderr, and a signal ends the wait."""

    def heard(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None or event.event_type != dg.DagsterEventType.ENGINE_EVENT:
            return
        pool = event.engine_event_data.metadata.get("pool")
        if isinstance(pool, dg.PoolMetadataValue):
            stops.raise_at_once()
            _wait(instance, settings, pool.pool, entry.run_id, event.step_key)

    instance.add_event_listener(run_id, heard)


def _wait(instance: dg.DagsterInstance, settings: Settings, pool: str, run_id: str, step: str) -> None:
    storage, told = instance.event_log_storage, ""
    while not storage.check_concurrency_claim(pool, run_id, step).is_assigned:
        end_dead_runs(instance, settings)
        if (now := _holders(instance, settings, pool, run_id)) and now != told:
            sys.stderr.write(f"waiting for pool {pool!r}: {now}\n")
            sys.stderr.flush()
            told = now
        time.sleep(_PAUSE)


def _holders(instance: dg.DagsterInstance, settings: Settings, pool: str, own: str) -> str:
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    return "; ".join(f"{_who(instance, settings, slot.run_id)} has it" for slot in slots if slot.run_id != own)


def _who(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> str:
    if who := holds.holder(file_of(settings, run_id)):
        return who
    record = instance.get_run_record_by_id(run_id)
    since = f", since {record.create_timestamp:%Y-%m-%d %H:%M:%S} UTC" if record else ""
    return f"run {run_id} of another home{since}"
