"""The report: one file with nothing to fetch, that says what the rows say and nothing else."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tracebank_benchmarks.tsdb import paper
from tracebank_benchmarks.tsdb.changes import compare
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal, Measures, Sample, Text, Verdict
from tracebank_benchmarks.tsdb.plan import WORKLOADS, Plan
from tracebank_benchmarks.tsdb.report.advice import JOBS, advise, summary
from tracebank_benchmarks.tsdb.report.figures import Figures, shown_seconds
from tracebank_benchmarks.tsdb.report.html import page, write_report
from tracebank_benchmarks.tsdb.report.tables import (
    changes_shown,
    ranking_markdown,
    ranking_rows,
    ranking_shown,
    report_markdown,
)
from tracebank_benchmarks.tsdb.results import UNMEASURED, Record, combined, new_record, settle
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
        if tag not in ("meta", "br", "link", "path", "use", "input"):
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
    assert not re.search(r"<script [^>]|@import|url\((?!#)", text)
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
    assert sentences == ["a/idiomatic and b/idiomatic cannot be told apart by this run."]
    assert "Over all reads: Use quick/idiomatic" in summary(Figures(record))
    nothing = _record(tmp_path, {"a": {}}, name="nothing")
    assert summary(Figures(nothing)).startswith("No engine gave a right answer")
    assert "no right answer to any read" in page(nothing)


def test_an_engine_that_was_not_asked_everything_has_no_place(record: Record) -> None:
    record.samples = [one for one in record.samples if (one.engine, one.workload) != ("quick", "R4")]
    for one in record.results:
        if (one["engine"], one["workload"]) == ("quick", "R4"):
            one |= {"status": "unmeasured", "reason": UNMEASURED, "median_seconds": None}
    figures = Figures(record)
    assert list(figures.ranks) == ["wrong/idiomatic", "slow/idiomatic"]
    assert figures.unplaced["quick/idiomatic"].startswith("too few to rank: 0 undisturbed samples in 1 of 3 reads")
    assert "Use " not in summary(figures)
    assert "Too few undisturbed samples of quick/idiomatic" in summary(figures)


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_below_five_undisturbed_samples_there_is_no_interval_no_place_and_no_winner(record: Record, kept: int) -> None:
    counts: dict[tuple[str, str], int] = {}
    for number, one in enumerate(record.samples):
        key = (one.engine, one.workload)
        counts[key] = counts.get(key, 0) + 1
        disturbed = one.kind == "warm" and counts[key] > kept
        record.samples[number] = msgspec.structs.replace(one, disturbed=disturbed)
    figures = Figures(record)
    assert figures.ranks == {}
    assert set(figures.unplaced) == set(figures.entries)
    assert all(not one.sentence.startswith("Use ") for one in advise(figures) if "R" in one.job)
    assert summary(figures).startswith("Too few to rank.")
    assert figures.warnings()[0].startswith("Disturbed: ")
    text = page(record)
    assert text.index('class="warn"') < text.index('class="lead"')
    assert 'class="n heat"' not in text
    assert "Use quick" not in text
    assert all(row["place"] is None for row in ranking_rows(figures))
    assert "–" in ranking_markdown(figures)


def _disturbed(record: Record, *engines: str) -> Record:
    samples = [msgspec.structs.replace(one, disturbed=one.engine in engines and one.kind == "warm")
               for one in record.samples]  # fmt: skip
    record.samples = samples
    return record


def test_one_that_can_be_ranked_is_no_ranking(record: Record) -> None:
    """Whoever else was merely disturbed did answer: nobody is alone in that, or ahead."""
    figures = Figures(_disturbed(record, "slow", "wrong"))
    assert figures.ranks == {}
    assert figures.unplaced["quick/idiomatic"] == "nobody to rank it with"
    assert summary(figures) == (
        "Too few to rank. Too few undisturbed samples of slow/idiomatic and wrong/idiomatic to say anything."
    )
    said = " ".join(one.sentence for one in advise(figures) if "R" in one.job)
    assert "answered all of it" not in said
    assert "Too few undisturbed samples" in said
    assert 'class="n heat"' not in page(record)
    assert "6 undisturbed samples, nobody to compare it with" in page(record)


def test_who_alone_answered_all_is_said_where_the_others_could_not(tmp_path: Path) -> None:
    record = _record(tmp_path, {"able": {"R4": 0.1}, "unable": {"R1": 0.1}}, name="able")
    [books] = [one.sentence for one in advise(Figures(record)) if one.job.startswith("summing order")]
    assert books == "Only able/idiomatic answered all of it. Not all of it was answered by unable/idiomatic."
    alone = Figures(_record(tmp_path, {"able": {"R4": 0.1}}, name="alone"))
    assert alone.ranks == {}
    assert [one for one in advise(alone) if "(R" in one.job] == []
    assert summary(alone) == "Too few to rank. It takes two engines with right answers."
    assert not any("Too few" in warning for warning in alone.warnings())


def test_names_stand_whole_in_a_terminal_of_eighty_columns(tmp_path: Path) -> None:
    record = _record(tmp_path, {"clickhouse_embedded": {"R1": 0.1, "R2": 0.1}, "duckdb": {"R1": 0.1}}, name="names")
    console = Console(width=80, file=io.StringIO(), highlight=False)
    console.print(ranking_shown(Figures(record), "a title"))
    console.print(changes_shown(compare([record], [_record(tmp_path, {"clickhouse_embedded": {"R1": 9.0}})])))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    assert "clickhouse_embedded/idiomatic: wrong answer: R4" in text
    assert "clickhouse_embedded/idiomatic │ R1" in text
    assert "answer lost: verified before, now wrong_answer" in text


def test_one_sample_is_no_interval(tmp_path: Path) -> None:
    plan = Plan(("a",), ("idiomatic",), ("R1",), 0.01, 1.0, 0)
    with Journal(tmp_path / "one.jsonl") as journal:
        journal.note(_sample("a", "R1", 0.5))
        record = settle(new_record("one", plan, environment(tmp_path), "d", {"bench_trades": 1}), journal)
    [one] = record.results
    assert (one["median_seconds"], one["low_seconds"], one["high_seconds"]) == (0.5, None, None)


def test_a_time_out_is_placed_behind_a_slow_right_answer(tmp_path: Path) -> None:
    times = {"quick": {"R1": 0.01, "R2": 0.01, "R4": 0.01}, "slow": {"R1": 0.01, "R2": 0.01, "R4": 59.0},
             "late": {"R1": 0.01, "R2": 0.01}}  # fmt: skip
    record = _record(tmp_path, times, name="late")
    for one in record.results:
        if (one["engine"], one["workload"]) == ("late", "R4"):
            one |= {"status": "timeout", "reason": "no answer within 60 s"}
    assert list(Figures(record).ranks) == ["quick/idiomatic", "slow/idiomatic", "late/idiomatic"]


def test_the_page_shows_reads_by_name_p99_where_it_can_be_told_and_switches_entries(record: Record) -> None:
    text = page(record)
    assert "average volume per minute" in text
    assert '<span class="p99"><small>6 samples</small></span>' in text
    many = [_sample("quick", "R1", 0.01 + 0.0001 * number) for number in range(200)]
    record.samples += many
    cell = Figures(record).cell("quick/idiomatic", "R1")
    assert cell is not None
    assert cell.p99 == pytest.approx(0.0298, rel=0.02)
    assert text.count("data-entry=") == 3
    assert 'data-e="0"' in text
    assert 'id="e0.' in text
    assert "light-dark(" in text


def test_what_a_run_says_can_be_had_in_markdown(record: Record) -> None:
    text = report_markdown(Figures(record))
    assert "| 1 | quick/idiomatic | 1." in text
    assert "Over all reads: Use quick/idiomatic" in text
    assert "* **summing order books over time" in text
    assert "| workload | quick/idiomatic | wrong/idiomatic | slow/idiomatic |" in text
    assert "| W1, thousand rows/s | 1,000 | 1,000 | 1,000 |" in text
    assert "W2" not in text, "what was not measured has no row"


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


def test_the_jobs_and_the_papers_rows_name_workloads_that_there_are() -> None:
    assert {read for reads in JOBS.values() for read in reads} == set(BY_ID)
    assert set(paper.WORKLOADS) <= set(WORKLOADS)
    assert all(len(row.milliseconds) == len(paper.SYSTEMS) for row in paper.TABLE)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (2e-5, "20 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (12345.6, "12,346 s")]
)
def test_times_have_units(seconds: float | None, words: str) -> None:
    assert shown_seconds(seconds) == words
