"""Checks of a run: answers verified, nothing slower than its own history by more than noise, storage not grown."""

import dagster as dg

from tracebank.resources import Stores
from tracebank_benchmarks.tsdb import archive, changes
from tracebank_benchmarks.tsdb.results import Record

_VERIFIED = "answers_verified"
_NOT_SLOWER = "not_slower_than_history"
_STORAGE = "storage_not_grown"

RUN_CHECKS = {
    _VERIFIED: "Every answer was right, or the engine cannot express the question.",
    _NOT_SLOWER: "Nothing is slower than in earlier runs on the same machine and data by more than runs differ, and"
    " nothing that was measured then is lost or cannot be compared.",
    _STORAGE: "The same rows take no more bytes than in the runs before.",
}
"""Checks of `[tsdb_benchmark, runs]`."""


def run_checks(stores: Stores, record: Record) -> list[dg.AssetCheckResult]:
    """The checks of a run that was just kept."""
    earlier = archive.history(stores.relational, stores.series, record)
    found = changes.compare(earlier, [record]) if earlier else []
    sizes = [one for one in found if one.figure == changes.BYTES]
    times = [one for one in found if one.figure != changes.BYTES]
    runs = [one.run_id for one in earlier]
    return [_verified(record), _compared(_NOT_SLOWER, times, runs), _compared(_STORAGE, sizes, runs)]


def _compared(name: str, found: list[changes.Change], runs: list[str]) -> dg.AssetCheckResult:
    told = [
        f"{one.lane} {one.figure}: {one.verdict}"
        + (f", {one.ratio:.2f} times as much as before" if one.ratio is not None else "")
        for one in found
        if one.verdict
    ]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"found": told, "compared": len(found), "earlier runs": runs},
    )


def _verified(record: Record) -> dg.AssetCheckResult:
    fine = ("verified", "partial", "unsupported", "unmeasured")
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
