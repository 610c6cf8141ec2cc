"""Query texts by read and lane, and what was tried beside them: found, timed in turns, right."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.alternatives import KEPT, attempts, timings
from tracebank_benchmarks.tsdb.commands import bench
from tracebank_benchmarks.tsdb.data import small_set
from tracebank_benchmarks.tsdb.engines.clickhouse import ClickHouseSession
from tracebank_benchmarks.tsdb.engines.duckdb import DuckDBSession
from tracebank_benchmarks.tsdb.engines.postgresql import PostgreSQLSession
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane

FAMILIES = [session.family for session in (ClickHouseSession, DuckDBSession, PostgreSQLSession)]


@pytest.mark.parametrize("family", [*FAMILIES, "flux", "influxdb3", "q"])
def test_every_read_has_a_text_with_its_parameters(family: str) -> None:
    for read in READS:
        for lane in Lane:
            text = queries.text(family, read.id, lane)
            assert text is not None
            assert {name for name in read.parameters if f"${{{name}}}" in text} == set(read.parameters), read.id


def test_a_lane_may_have_a_text_of_its_own() -> None:
    paper, idiomatic = (queries.text("postgresql", "R12", lane) for lane in (Lane.PAPER, Lane.IDIOMATIC))
    assert paper == queries.text("postgresql", "R12")
    assert idiomatic is not None
    assert "RECURSIVE" in idiomatic
    assert "RECURSIVE" not in str(paper)
    assert queries.text("postgresql", "R99") is None
    assert queries.text("no such language", "R1") is None


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_tried_is_asked_by_its_own_text_or_layout(family: str) -> None:
    found = attempts(family)
    assert len({(one.workload, one.title) for one in found}) == len(found)
    for one in found:
        assert one.workload in BY_ID
        assert one.text or one.made
        assert bool(one.made) == bool(one.unmade), one.title


def test_nothing_was_tried_for_other_languages() -> None:
    assert attempts("flux") == ()


def test_texts_and_layouts_are_timed_in_turns_and_held_against_the_oracle(tmp_path: Path) -> None:
    data = small_set(tmp_path / "data")
    found = list(timings("clickhouse_embedded", data, tmp_path, Lane.IDIOMATIC, ["R12", "R24"], 1))
    tried = [one for one in attempts("clickhouse") if one.workload in ("R12", "R24")]
    assert len(found) == len(tried) + 2
    assert [one.fault for one in found] == [""] * len(found)
    assert [one.attempt.title for one in found].count(KEPT) == 2
    assert all(one.milliseconds > 0 for one in found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workloads", "R99"], "'R99' is no read"),
        (["--lane", "fast"], "'fast' is not known"),
        (["--engines", "nothing"], "'nothing' is not known"),
        (["--scale", "0"], "scale: 0.0 is not"),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    result = CliRunner().invoke(bench, ["try", *options])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
    assert says in " ".join(result.output.replace("│", "").split())
