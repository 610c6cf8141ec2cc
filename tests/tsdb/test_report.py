"""The report: one file with nothing to fetch, that says what the rows say and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tracebank_benchmarks.tsdb import paper
from tracebank_benchmarks.tsdb.archive import compare
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal, Measures, Sample, Text, Verdict
from tracebank_benchmarks.tsdb.plan import WORKLOADS, Plan
from tracebank_benchmarks.tsdb.report.advice import JOBS, advise, summary
from tracebank_benchmarks.tsdb.report.figures import Figures, shown_seconds
from tracebank_benchmarks.tsdb.report.html import page, write_report
from tracebank_benchmarks.tsdb.results import UNMEASURED, Record, combined, new_record, sample_frame, settle
from tracebank_benchmarks.tsdb.workloads import BY_ID

NOW = datetime(2026, 1, 4, tzinfo=UTC)


def _sample(engine: str, workload: str, seconds: float, kind: str = "warm") -> Sample:
    return Sample(engine, "idiomatic", workload, kind, NOW, seconds, seconds, 0.001, 0.0, False, 10, 80)


def _record(tmp_path: Path, times: dict[str, dict[str, float]], scale: float = 0.01, name: str = "run") -> Record:
    """A run in which every engine has five samples of each workload; others have errors."""
    workloads = ("R1", "R2", "R4", "W1", "S1")
    plan = Plan(tuple(times), ("idiomatic",), workloads, scale, 1.0, 0)
    with Journal(tmp_path / f"{name}.jsonl") as journal:
        for engine, found in times.items():
            for workload in workloads[:3]:
                if workload in found:
                    journal.note(Text(engine, "idiomatic", workload, "abc", f"SELECT {engine} < 1", ""))
                    for number in range(6):
                        journal.note(_sample(engine, workload, found[workload] * (1 + 0.001 * number)))
                else:
                    why = "no <b>such</b> thing"
                    journal.note(Verdict(engine, "idiomatic", workload, "wrong_answer", why))
            journal.note(_sample(engine, "W1", 2.0, "load"))
            phases: dict[str, float] = {f"{phase}_seconds": 0.5 for phase in ("serialise", "send", "settle")}
            phases |= {"rows_per_second": 1e6, "megabytes_per_second": 9.0}
            journal.note(Measures(engine, "idiomatic", "W1", phases))
            journal.note(Verdict(engine, "idiomatic", "W1", "verified", ""))
            sizes = {"bench_trades_bytes_per_row": 9.5, "bench_book_bytes_per_row": 99.0, "bytes": 1e6, "rows": 1e4}
            journal.note(Measures(engine, "idiomatic", "S1", {**sizes, "share_of_arrow": 0.25}))
            journal.note(Verdict(engine, "idiomatic", "S1", "verified", ""))
        record = new_record(name, plan, environment(tmp_path), "data", {"bench_trades": 1000})
        return settle(record, journal)


TIMES = {
    "quick": {"R1": 0.01, "R2": 0.01, "R4": 0.01},
    "slow": {"R1": 0.1, "R2": 0.1, "R4": 0.1},
    "wrong": {"R1": 0.001, "R4": 0.02},
}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return _record(tmp_path, TIMES)


class _Outline(HTMLParser):
    """Tags that are open, and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "data", "xlink:href")]
        if tag not in ("meta", "br", "link", "path", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "use"):
            return
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(record: Record, tmp_path: Path) -> None:
    text = write_report(record, tmp_path / "report.html").read_text(encoding="utf-8")
    outline = _Outline()
    outline.feed(text)
    assert outline.open == []
    assert [address for address in outline.addresses if not address.startswith("#")] == []
    assert not re.search(r"<script|@import|url\((?!#)", text)
    assert text.count("<svg") == 4
    assert page(record) == text, "the same rows give the same page"


def test_the_page_shows_statuses_paper_and_environment(record: Record) -> None:
    text = page(record)
    assert "wrong answer" in text
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in text
    assert "<b>such" not in text, "what engines say is text, not markup"
    for row in paper.TABLE:
        assert row.name in text
    assert shown_seconds(623.732) in text, "the paper's spread on InfluxDB"
    assert record.environment["cpu_model"] in text
    assert "SELECT quick &lt; 1" in text


def test_a_wrong_answer_has_no_time_and_costs_rank(record: Record) -> None:
    figures = Figures(record)
    cell = figures.cell("wrong/idiomatic", "R2")
    assert cell is not None
    assert (cell.ratio, cell.result["median_seconds"]) == (None, None)
    assert list(figures.ranks) == ["quick/idiomatic", "wrong/idiomatic", "slow/idiomatic"]
    assert figures.best("R2") == pytest.approx(0.01, rel=0.01)
    assert figures.answered("wrong/idiomatic") == 2


def test_advice_names_the_fastest_only_where_it_is_clear(tmp_path: Path, record: Record) -> None:
    found = {one.job.split(" (")[0]: one for one in advise(Figures(record))}
    books = found["summing order books over time"]
    assert books.sentence.startswith("Use quick/idiomatic: wrong/idiomatic takes 1.9 times as long, slow/idiomatic 9.2")
    trades = found["summing trades over time"]
    assert "Not all of it was answered by wrong/idiomatic." in trades.sentence
    assert "returns, volatility and correlation" not in found, "nothing is said of what was not measured"
    alike = _record(tmp_path, {"a": {"R4": 0.1}, "b": {"R4": 0.1}}, name="alike")
    sentences = [one.sentence for one in advise(Figures(alike)) if one.job.startswith("summing order")]
    assert sentences == ["a/idiomatic and b/idiomatic cannot be told apart."]
    assert "Over all reads: Use quick/idiomatic" in summary(Figures(record))
    nothing = _record(tmp_path, {"a": {}}, name="nothing")
    assert summary(Figures(nothing)).startswith("No engine gave a right answer")
    assert "<h2>Ranking" not in page(nothing)


def test_reads_that_the_end_of_the_run_kept_from_an_engine_decide_nothing(record: Record) -> None:
    for one in record.results:
        if (one["engine"], one["workload"]) == ("quick", "R4"):
            one |= {"status": "timeout", "reason": UNMEASURED, "median_seconds": None}
    figures = Figures(record)
    assert figures.compared == ["R1", "R2"]
    assert next(iter(figures.ranks)) == "quick/idiomatic"
    assert "before every engine was asked: R4." in page(record)
    assert summary(figures).startswith("Over 2 reads: Use quick/idiomatic")


def test_growth_is_told_over_runs_of_other_scales(tmp_path: Path, record: Record) -> None:
    larger = _record(tmp_path, {"quick": {"R1": 0.1}}, scale=0.1, name="larger")
    slopes = Figures(record, [larger]).growths()
    assert slopes["quick/idiomatic"] == pytest.approx({"R1": 1.0})
    assert "Growth (G1)" in page(record, [larger])
    assert "Growth (G1)" not in page(record)


def test_runs_of_different_engines_are_put_side_by_side(tmp_path: Path) -> None:
    one = _record(tmp_path, {"a": {"R1": 0.1}}, name="one")
    other = _record(tmp_path, {"b": {"R1": 0.2}}, name="other")
    for run, engine in ((one, "a/idiomatic"), (other, "b/idiomatic")):
        run.engines = {engine: {"version": "1"}}
    both = combined([one, other])
    assert list(Figures(both).ranks) == ["a/idiomatic", "b/idiomatic"]
    assert both.plan.engines == ("a", "b")
    with pytest.raises(ValueError, match="an engine stands in two runs"):
        combined([one, one])


def test_what_became_slower_is_found_by_rank_not_by_percentage(tmp_path: Path, record: Record) -> None:
    changed: dict[str, Any] = {**TIMES, "slow": {**TIMES["slow"], "R1": 0.104}}
    later = _record(tmp_path, changed, name="later")
    changes = compare(sample_frame(record), sample_frame(later))
    assert [(one.engine, one.workload) for one in changes if one.slower] == [("slow", "R1")]
    assert next(one for one in changes if one.slower).test.ratio == pytest.approx(1.04, rel=0.01)
    back = compare(sample_frame(later), sample_frame(record))
    assert [one for one in back if one.slower] == []
    assert compare(sample_frame(record), sample_frame(record).head(0)) == []


def test_the_jobs_and_the_papers_rows_name_workloads_that_there_are() -> None:
    assert {read for reads in JOBS.values() for read in reads} == set(BY_ID)
    assert set(paper.WORKLOADS) <= set(WORKLOADS)
    assert all(len(row.milliseconds) == len(paper.SYSTEMS) for row in paper.TABLE)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (2e-5, "20 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (12345.6, "12,346 s")]
)
def test_times_have_units(seconds: float | None, words: str) -> None:
    assert shown_seconds(seconds) == words
