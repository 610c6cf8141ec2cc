"""The tree of commands, `tables`, `db` and `doctor`, and what an error becomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import EntryPoint, version
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from tracebank.cli import app as tree
from tracebank.cli import faults
from tracebank.cli.app import app
from tracebank.cli.inspection import GROUP, Finding, inspect
from tracebank.query.errors import SqlCancelled, SqlError
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import MODELS, TABLES

runner = CliRunner()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process work in an empty folder."""
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    heavy = ("polars", "pyarrow", "torch", "chdb", "dagster", "pandas", "clickhouse_connect", "sqlalchemy")
    script = textwrap.dedent(f"""
        import sys
        sys.argv = ["tracebank", "--help"]
        from tracebank.cli import main
        try:
            main()
        except SystemExit as leaving:
            assert leaving.code == 0, leaving.code
        print([name for name in {heavy!r} if name in sys.modules])
    """)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
    for name in ("sql", "tables", "doctor", "db"):
        assert f" {name} " in found.stdout


def test_the_version() -> None:
    found = runner.invoke(app, ["--version"])
    assert (found.exit_code, found.output) == (0, f"tracebank {version('tracebank')}\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("tracebank s", {"sql", "serve", "study"}), ("tracebank db re", {"repair", "revision"}),
     ("tracebank bench r", {"run", "report"}), ("tracebank sql --v", {"--vertical"})],
)  # fmt: skip
def test_a_shell_is_offered_what_can_follow(words: str, offered: set[str]) -> None:
    asked = {"_TRACEBANK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    script = "from tracebank.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert set(found.stdout.split()) == offered


@pytest.mark.parametrize(
    "package",
    ["tracebank", "tracebank_schemas", "tracebank_models", "tracebank_benchmarks", "tracebank_assets"],
)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert resources.files(package).joinpath("py.typed").is_file()


@pytest.mark.parametrize("width", ["80", "120"])
def test_every_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    runner.invoke(app, ["db", "upgrade"])
    monkeypatch.setenv("COLUMNS", width)
    for command in (["tables"], ["tables", "--columns"], ["doctor"], ["study"]):
        found = runner.invoke(app, command)
        assert found.exit_code == 0, found.output
        assert max(map(cell_len, found.output.splitlines())) <= int(width)


def test_a_study_that_was_never_run_is_told(tmp_path: Path) -> None:
    for prepared in (False, True):
        if prepared:
            runner.invoke(app, ["db", "upgrade"])
        with pytest.raises(click.UsageError, match="study: small-dpo has not been run; 'tracebank study small-dpo'"):
            app(["study", "small-dpo", "--show"], standalone_mode=False)
        assert prepared or not list(tmp_path.iterdir())


def test_a_home_that_nothing_was_written_to_has_no_runs_and_one_line_of_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path / "new"))
    listed = runner.invoke(app, ["bench", "list", "--json"])
    assert (listed.exit_code, json.loads(listed.output)["runs"]) == (0, [])
    told = runner.invoke(app, ["db", "status"]).output.splitlines()
    assert told[0].endswith("; 'tracebank db upgrade' brings it there)")
    assert told[1].startswith("series: ")


def test_studies_are_listed_as_json() -> None:
    listed = json.loads(runner.invoke(app, ["study", "--json"]).output)
    assert {"study": "small-ppo", "base_model": "small", "tuned_by": "PPO", "documents": 2000, "seeds": []} in listed


def test_db_upgrade_then_status_then_tables() -> None:
    assert runner.invoke(app, ["db", "status"]).exit_code == 1
    first = runner.invoke(app, ["db", "upgrade"])
    assert first.exit_code == 0, first.output
    assert runner.invoke(app, ["db", "upgrade"]).exit_code == 0
    status = json.loads(runner.invoke(app, ["db", "status", "--json"]).output)
    assert status["current"] is True
    assert status["revision"] == status["head"]
    listed = json.loads(runner.invoke(app, ["tables", "--json"]).output)
    names = {(entry["database"], entry["name"]) for entry in listed}
    series = {("series", name) for name in (*TABLES, "activations")}
    assert names == series | {("relational", m.__tablename__) for m in MODELS}
    shown = runner.invoke(app, ["tables"]).output
    assert "trades" in shown
    assert "Executions, one row each." in shown
    columns = runner.invoke(app, ["tables", "--columns"]).output
    assert "bid_price_9" in columns
    assert "DateTime64(9, 'UTC')" in columns


def test_doctor_tells_what_is_there_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {entry["name"]: entry for entry in json.loads(runner.invoke(app, ["doctor", "--json"]).output)}
    assert before["series store"]["state"] == "missing"
    assert "tracebank db upgrade" in before["series store"]["advice"]
    runner.invoke(app, ["db", "upgrade"])
    after = {entry["name"]: entry for entry in json.loads(runner.invoke(app, ["doctor", "--json"]).output)}
    assert (after["series store"]["state"], after["relational store"]["state"]) == ("ok", "ok")
    assert "embedded" in after["series store"]["detail"]
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", "postgresql+psycopg://me:hunter2@127.0.0.1:1/db")
    broken = runner.invoke(app, ["doctor"])
    assert broken.exit_code == 1
    assert "broken" in broken.output
    assert "hunter2" not in broken.output


def test_doctor_changes_nothing(tmp_path: Path) -> None:
    inspect(Settings.load(home=tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_doctor_shows_what_other_packages_look_at_and_survives_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(_settings: Settings) -> Iterator[Finding]:
        yield Finding("engine x", "missing", "nothing there", "start it", version="1", section="engines")

    def fails(_settings: Settings) -> Iterator[Finding]:
        raise RuntimeError("two\nlines")

    points = [SimpleNamespace(name=f.__name__, value=f"m:{f.__name__}", load=lambda f=f: f) for f in (looks, fails)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points if group == GROUP else [])
    found = {entry.name: entry for entry in inspect(Settings.load())}
    assert (found["engine x"].state, found["engine x"].version) == ("missing", "1")
    assert (found["fails"].state, found["fails"].detail) == ("broken", "m:fails failed: RuntimeError: two lines")
    assert found["python"].section == "platform"


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=tree.GROUP)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of a module that says when it is imported."""
    (tmp_path / "tracebank_plugin.py").write_text(
        textwrap.dedent('''
        """Commands of a plugin."""
        import pathlib
        import typer
        (pathlib.Path(__file__).parent / "imported").touch()
        several = typer.Typer()
        @several.command()
        def first(count: int = 1) -> None:
            """The first one."""
            print("first", count)
        @several.command()
        def second() -> None:
            """The second one."""
        def single(word: str, loud: bool = False) -> None:
            """Say a word.

            And more of it.
            """
            print(word.upper() if loud else word)
        number = 3
        ''')
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    points = {
        "several": _point("several", "tracebank_plugin:several"),
        "single": _point("single", "tracebank_plugin:single"),
        "absent": _point("absent", "tracebank_no_such_module:command"),
        "sql": _point("sql", "tracebank_plugin:single"),
    }
    monkeypatch.setattr(tree, "_entry_points", lambda: points)


@pytest.mark.usefixtures("plugins")
def test_other_packages_commands_are_listed_without_loading_them(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["--help"]).output
    assert "several" in shown
    assert "Say a word." in shown
    assert "And more of it." not in shown
    assert "tracebank_no_such_module" in shown
    assert not (tmp_path / "imported").exists()


@pytest.mark.usefixtures("plugins")
def test_other_packages_commands_run() -> None:
    assert runner.invoke(app, ["single", "hello", "--loud"]).output == "HELLO\n"
    assert runner.invoke(app, ["several", "first", "--count", "3"]).output == "first 3\n"
    assert "Say a word." in runner.invoke(app, ["single", "--help"]).output
    assert "Query both stores" in runner.invoke(app, ["sql", "--help"]).output


@pytest.mark.usefixtures("plugins")
def test_a_command_that_cannot_be_loaded_is_told() -> None:
    with pytest.raises(click.ClickException, match=r"command absent: .*tracebank_no_such_module"):
        app(["absent"], standalone_mode=False)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (typer.BadParameter("no good", param_hint="--x"), 2, "no good"),
        (SqlError("a\n b"), 2, "a b"),
        (SqlCancelled("the query was cancelled"), 130, "cancelled"),
        (StoreError("series store: full"), 1, "series store: full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero (TRACEBANK_DEBUG=1 shows where)"),
    ],
)
def test_what_an_error_becomes(error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.report(error) == code
    told = capsys.readouterr().err
    assert told.startswith("tracebank: ")
    assert told.endswith("\n")
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "path", "is_of_the_home"),
    [(2, ".", True), (13, "held/dev", True), (13, "../elsewhere", False), (2, "raw/absent", False)],
)
def test_a_home_that_cannot_be_written_is_told_what_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    path: str,
    is_of_the_home: bool,
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    faults.report(OSError(number, "cannot be", os.path.normpath(tmp_path / path)))
    assert ("; TRACEBANK_HOME names a folder that may be written" in capsys.readouterr().err) is is_of_the_home


def test_a_password_in_an_error_is_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", "postgresql+psycopg://me:hunter2@host/db")
    faults.report(RuntimeError("could not reach postgresql+psycopg://me:hunter2@host/db with hunter2"))
    assert "hunter2" not in capsys.readouterr().err
