"""`tracebank sql`: where the statement comes from, the forms of the answer, errors and exit codes."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tracebank.cli import faults, main
from tracebank.settings import Settings

QUERY = (
    "SELECT number AS n, if(number = 1, NULL, 'a\"b,\\né') AS s, [number] AS l,"
    " toDateTime64('2024-01-02 03:04:05.5', 9) AS t FROM numbers(2) ORDER BY n"
)


MAIN = [sys.executable, "-c", "from tracebank.cli import main; main()", "sql"]
"""Starts the command in a process of its own, where a test needs one."""


@dataclass
class Outcome:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process; the stores lie in an empty folder."""
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path / "home"))

    def run_command(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tracebank", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        shown = capfd.readouterr()
        assert isinstance(leaving.value.code, int)
        return Outcome(leaving.value.code, shown.out, shown.err)

    return run_command


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process whose stores lie in an empty folder."""
    return {**os.environ, "TRACEBANK_HOME": str(tmp_path / "home"), "COLUMNS": "200"}


def _failed(found: Outcome, code: int) -> str:
    """The one line on stderr of a command that failed."""
    assert found.returncode == code, found.stderr
    lines = found.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tracebank: ")
    return lines[0]


def test_the_statement_comes_from_the_argument_a_file_or_stdin(run: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "query.sql"
    file.write_text("SELECT 'from the file' AS a;\n", encoding="utf-8")
    assert run("sql", "SELECT 'given' AS a", "--format", "csv").stdout == '"a"\n"given"\n'
    assert run("sql", "--file", str(file), "--format", "csv").stdout == '"a"\n"from the file"\n'
    assert run("sql", "--format", "csv", stdin="SELECT 'piped' AS a").stdout == '"a"\n"piped"\n'
    assert run("sql", "-", "--format", "csv", stdin="SELECT 'piped' AS a").stdout == '"a"\n"piped"\n'


def test_json_and_ndjson(run: Callable[..., Outcome]) -> None:
    expected = [
        {"n": 0, "s": 'a"b,\né', "l": [0], "t": "2024-01-02T03:04:05.500+00:00"},
        {"n": 1, "s": None, "l": [1], "t": "2024-01-02T03:04:05.500+00:00"},
    ]
    assert json.loads(run("sql", QUERY, "--format", "json").stdout) == expected
    assert json.loads(run("sql", QUERY, "--json").stdout) == expected
    lines = run("sql", QUERY, "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert json.loads(run("sql", "SELECT 1 AS a WHERE 0", "--format", "json").stdout) == []


def test_csv(run: Callable[..., Outcome]) -> None:
    found = run("sql", QUERY, "--format", "csv").stdout
    moment = "2024-01-02 03:04:05.500000000Z"
    assert found == f'"n","s","l","t"\n0,"a""b,\né","[0]",{moment}\n1,,"[1]",{moment}\n'
    assert run("sql", "SELECT 1 AS a, 2 AS b WHERE 0", "--format", "csv").stdout == '"a","b"\n'


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_by_its_suffix(run: Callable[..., Outcome], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answer.{suffix}"
    assert run("sql", QUERY, "--output", str(path)).returncode == 0
    frame = pl.read_parquet(path) if suffix == "parquet" else pl.read_ipc(path)
    assert frame["n"].to_list() == [0, 1]
    assert frame.schema["t"] == pl.Datetime("ns", "UTC")
    assert sorted(entry.name for entry in tmp_path.glob("*answer*")) == [path.name]


def test_a_table(run: Callable[..., Outcome]) -> None:
    found = run("sql", "SELECT 'x' AS word, NULL AS nothing, 1.5 AS number").stdout
    heads, _, row = found.rstrip().splitlines()
    assert heads.split() == ["word", "nothing", "number"]
    assert row.split() == ["x", "null", "1.5"]


def test_a_long_table_is_cut_and_says_so(run: Callable[..., Outcome]) -> None:
    found = run("sql", "SELECT number FROM numbers(5000)")
    assert found.stdout.split()[-1] == "999"
    assert "first 1,000 rows" in found.stderr
    assert run("sql", "SELECT number FROM numbers(5000)", "--limit", "2000").stdout.split()[-1] == "1999"


@pytest.mark.parametrize("comment", ["-- why\n", "--why\n", "/* why */ ", "--\n-- two\n"])
def test_a_statement_may_begin_with_a_comment(run: Callable[..., Outcome], tmp_path: Path, comment: str) -> None:
    statement = f"{comment}SELECT 1 AS a"
    expected = '"a"\n1\n'
    assert run("sql", statement, "--format", "csv").stdout == expected
    assert run("sql", "--format=csv", "--limit", "5", statement).stdout == expected
    assert run("sql", "--format", "csv", "--", statement).stdout == expected
    file = tmp_path / "query.sql"
    file.write_text(statement)
    assert run("sql", "--format", "csv", "-f", str(file)).stdout == expected
    assert run("sql", "--format", "csv", stdin=statement).stdout == expected


def test_time_stamps_have_their_nanoseconds_in_a_table(run: Callable[..., Outcome]) -> None:
    query = "SELECT toDateTime64('2024-01-01 00:00:00.000000001', 9) AS ts"
    assert "2024-01-01 00:00:00.000000001" in run("sql", query).stdout


def test_wide_rows_fold_into_records(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns = ", ".join(f"{at}.123456789 AS a_column_{at}" for at in range(30))
    found = run("sql", f"SELECT {columns} FROM numbers(2)")
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert [line for line in found.stdout.splitlines() if line.startswith("a_column_29")] == [
        "a_column_29  29.1235"
    ] * 2
    assert found.stderr.endswith(" more; --full shows them whole\n")
    full = run("sql", f"SELECT {columns} FROM numbers(2)", "--full")
    assert "a_column_29  29.123456789" in full.stdout
    assert full.stderr == ""
    assert run("sql", "SELECT 1 AS a", "--vertical").stdout.splitlines()[1] == "a  1"


def test_a_table_in_a_file_is_not_bound_to_the_terminal(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    path = tmp_path / "answer.txt"
    assert run("sql", "SELECT repeat('ab', 50) AS a, 1 AS b", "-o", str(path)).returncode == 0
    assert path.read_text().splitlines()[-1].split() == ["ab" * 50, "1"]


def test_limit_and_parameters(run: Callable[..., Outcome]) -> None:
    query = "SELECT number + {start:Int64} AS n, {word:String} AS w FROM numbers(9)"
    arguments = ("--limit", "2", "--param", "start=5", "--param", "word=a=b", "--format", "csv")
    assert run("sql", query, *arguments).stdout == '"n","w"\n5,"a=b"\n6,"a=b"\n'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sql", "DROP TABLE series.trades"), "refused, queries are read-only: DROP"),
        (("sql", "SELECT file('/etc/passwd')"), "refused, queries are read-only: function file()"),
        (("sql", "SELEC 1"), "syntax error"),
        (("sql", ""), "the query is empty"),
        (("sql",), "the query is empty"),
        (("sql", "SELECT 1", "--param", "x"), "'x' is not name=value"),
        (("sql", "SELECT 1", "--limit", "-1"), "-1"),
        (("sql", "SELECT 1", "--format", "xml"), "'xml'"),
        (("sql", "SELECT 1", "--file", "also.sql"), "once"),
        (("sql", "--file", "absent.sql"), "absent.sql cannot be read: No such file"),
        (("sql", "SELECT 1", "--output", "absent/answer.csv"), "there is no folder"),
        (
            ("sql", "SELECT throwIf(1)", "--output", "x.xlsx"),
            "x.xlsx: .xlsx cannot be written; use .json, .ndjson, .csv",
        ),
        (("sql", "SELECT throwIf(1)", "--output", "x.csv.gz"), ".gz cannot be written"),
        (("sql", "SELECT throwIf(1)", "--output", "."), ".: is a folder; name a file in it"),
        (("sql", "-- nothing else"), "the query is empty"),
        (("sql", "--nope"), "--nope"),
        (("nope",), "'nope'"),
        (("sq",), "No such command 'sq'. Did you mean 'sql'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Callable[..., Outcome], arguments: tuple[str, ...], words: str
) -> None:
    found = run(*arguments)
    assert words in _failed(found, faults.BAD_INPUT)
    assert found.stdout == ""


def test_a_bad_setting_is_told_without_its_password(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEBANK_SERIES_URL", "bogus://me:hunter2@host/db")
    found = run("sql", "SELECT 1")
    line = _failed(found, faults.BAD_INPUT)
    assert "TRACEBANK_SERIES_URL" in line
    assert "chdb:///" in line
    assert "hunter2" not in line


def test_a_query_that_fails_half_way_leaves_the_old_file(run: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "answer.csv"
    path.write_text("old")
    query = "SELECT number, throwIf(number = 2500000, 'half-way') FROM numbers(3000000)"
    assert "half-way" in _failed(run("sql", query, "-o", str(path)), faults.BAD_INPUT)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir() if "answer" in entry.name] == ["answer.csv"]


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str]) -> None:
    command = [*MAIN, "--format", "csv"]
    with subprocess.Popen(
        [*command, "SELECT number FROM numbers(3000000)"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b'"number"\n'
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == faults.FAILED


def test_ctrl_c_cancels_and_leaves_no_file(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "answer.csv"
    command = [*MAIN, "-o", str(path)]
    with subprocess.Popen(
        [*command, "SELECT number FROM numbers(1000000000000)"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(600):
            if any(entry.stat().st_size > 0 for entry in tmp_path.glob(".answer.csv.*")):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == faults.INTERRUPTED
    assert not list(tmp_path.glob("*answer*"))
    assert not list(tmp_path.glob(".answer*"))


def test_on_a_terminal_a_long_query_shows_its_progress_and_binary_forms_are_refused(
    environment: dict[str, str],
) -> None:
    code, shown = _on_terminal(environment, "SELECT sum(sipHash64(number)) AS s FROM numbers(100000000)")
    assert code == 0
    assert "reading" in shown
    assert "rows" in shown
    code, shown = _on_terminal(environment, "SELECT 1", "--format", "parquet")
    assert code == faults.BAD_INPUT
    assert "parquet is not for a terminal" in shown


def _on_terminal(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and everything shown, of a command on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [*MAIN, *arguments]
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:
                break
            if not block:
                break
            shown += block
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode(errors="replace")


def test_the_default_settings_are_those_of_the_environment(run: Callable[..., Outcome], tmp_path: Path) -> None:
    run("sql", "SELECT 1")
    assert (tmp_path / "home" / "series").is_dir()
    assert Settings.load(home=tmp_path / "home").series.database == str(tmp_path / "home" / "series")
