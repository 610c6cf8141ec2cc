"""Checks of a run: answers verified, nothing slower than its own history by more than noise, storage not grown."""

import dagster as dg

from tracebank.resources import Stores
from tracebank_benchmarks.tsdb import archive
from tracebank_benchmarks.tsdb.results import Record

_VERIFIED = "answers_verified"
_NOT_SLOWER = "not_slower_than_history"
_STORAGE = "storage_not_grown"
STORAGE_GROWTH = 1.02
"""Bytes of the same rows may be so many times what they were: merges do not always end alike."""


RUN_CHECKS = {
    _VERIFIED: "Every answer was right, or the engine cannot express the question.",
    _NOT_SLOWER: "No workload is slower than in earlier runs on the same machine and data by more than its noise:"
    " a rank test on raw samples.",
    _STORAGE: "The same rows take no more bytes than in the run before.",
}
"""Checks of `[tsdb_benchmark, runs]`."""


def run_checks(stores: Stores, record: Record) -> list[dg.AssetCheckResult]:
    """The checks of a run that was just kept."""
    return [_verified(record), _not_slower(stores, record), _storage(stores, record)]


def _verified(record: Record) -> dg.AssetCheckResult:
    fine = ("verified", "partial", "unsupported")
    bad = [
        f"{one['lane']} {one['workload']}: {one['status']}, {one['reason']}"
        for one in record.results
        if one["status"] not in fine
    ]
    wrong = any(one["status"] == "wrong_answer" for one in record.results)
    return dg.AssetCheckResult(
        check_name=_VERIFIED,
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR if wrong else dg.AssetCheckSeverity.WARN,
        metadata={"not verified": bad, "results": len(record.results)},
    )


def _not_slower(stores: Stores, record: Record) -> dg.AssetCheckResult:
    earlier = archive.history(stores.relational, record)
    before = archive.samples(stores.series, earlier)
    now = archive.samples(stores.series, [record.run_id] if record.samples else [])
    changes = archive.compare(before, now)
    slower = [
        f"{one.lane} {one.workload}: {one.test.ratio:.2f} times the earlier median, p = {one.p_value:.2g}"
        for one in changes
        if one.slower
    ]
    return dg.AssetCheckResult(
        check_name=_NOT_SLOWER,
        passed=not slower,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"slower": slower, "compared": len(changes), "earlier runs": earlier},
    )


def _storage(stores: Stores, record: Record) -> dg.AssetCheckResult:
    before: dict[tuple[str, str], float] = {}
    for run in reversed(archive.history(stores.relational, record)):  # the newest stays
        before |= _sizes(archive.results_of(stores.relational, run))
    now = _sizes(record.results)
    grown = [
        f"{engine} {lane}: {now[engine, lane]:,.0f} bytes, {before[engine, lane]:,.0f} before"
        for engine, lane in now
        if (engine, lane) in before and now[engine, lane] > STORAGE_GROWTH * before[engine, lane]
    ]
    return dg.AssetCheckResult(
        check_name=_STORAGE,
        passed=not grown,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"grown": grown, "compared": len(set(now) & set(before))},
    )


def _sizes(results: list[dict[str, object]]) -> dict[tuple[str, str], float]:
    found = {}
    for one in results:
        measures = one["measures"]
        if one["workload"] == "S1" and isinstance(measures, dict) and "bytes" in measures:
            found[str(one["engine"]), str(one["lane"])] = float(measures["bytes"])
    return found
