"""Every block of the README and of docs runs as printed on the demo's home, or says in its fence why it does not."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import typer
from tests.docs.fences import Block, blocks, blocks_of

from tracebank.cli.app import app

pytestmark = pytest.mark.timeout(1600)

_OPERATORS = (">", "|", "&&", ";", "&")
BLOCKS = blocks()
RUN = [block for block in BLOCKS if not block.reason]
NOT_RUN = [block for block in BLOCKS if block.reason]


def _place(block: Block) -> str:
    return f"{block.place}-{block.language}"


@pytest.mark.parametrize("block", RUN, ids=_place)
def test_a_block_runs_as_printed(block: Block, environment: dict[str, str]) -> None:
    if block.file:
        (Path(environment["PWD"]) / block.file).write_text(block.text, encoding="utf-8")
        return
    answer = {"sql": _sql, "python": _python, "bash": _shell, "console": _shell, "toml": _toml}[block.language](
        block.text, environment
    )
    if block.output:
        assert _columns(answer) == _columns(block.output)
        assert len(answer.splitlines()) > 2


@pytest.mark.parametrize("block", NOT_RUN, ids=_place)
def test_a_block_that_is_not_run_names_commands_and_options_that_there_are(block: Block) -> None:
    if block.language in ("bash", "console"):
        for words in _commands(block.text):
            _parsed(words)
    pytest.skip(block.reason)


def _sql(text: str, environment: dict[str, str]) -> str:
    """A query must have an answer: one without rows shows nothing."""
    found = json.loads(_ran(["tracebank", "sql", "--json", text], environment))
    assert found, "no rows"
    return _ran(["tracebank", "sql", text], environment)


def _python(text: str, environment: dict[str, str]) -> str:
    return _ran([sys.executable, "-c", text], environment)


def _shell(text: str, environment: dict[str, str]) -> str:
    lines = (line.removeprefix("$ ") for line in text.splitlines())
    answer = _ran(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], environment)
    assert "no rows" not in answer
    return answer


def _toml(text: str, environment: dict[str, str]) -> str:
    return str(tomllib.loads(text))


def _ran(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=environment["PWD"], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def _columns(table: str) -> list[str]:
    """Names of a table's columns, or of a record's: the words above the line, or before the values."""
    lines = table.strip().splitlines()
    if lines[0].startswith("───"):
        end = next((at for at, line in enumerate(lines[1:], 1) if line.startswith("───")), len(lines))
        return [line.split()[0] for line in lines[1:end] if line[:1].strip()]
    return lines[0].split()


def _commands(text: str) -> list[list[str]]:
    """The words of every `tracebank …` of a shell block."""
    joined = re.sub(r"\\\n\s*", "", text)
    found = []
    for line in joined.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if "tracebank" in words:
            rest = words[words.index("tracebank") + 1 :]
            found.append(list(itertools.takewhile(lambda word: word not in _OPERATORS, rest)))
    return found


def _parsed(words: list[str]) -> None:
    """Read the words as the command line does, and run nothing.

    Raises:
        click.UsageError: there is no such command or option.
    """
    words = [word.removeprefix("[").removesuffix("]") for word in words]
    command: click.Command = typer.main.get_command(app)
    context = command.make_context("tracebank", list(words))
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)


@pytest.mark.parametrize("line", ["tracebank nosuch", "tracebank sql --nosuch 'SELECT 1'", "tracebank db nosuch"])
def test_a_command_that_is_not_there_is_found_out(line: str) -> None:
    with pytest.raises(click.UsageError):
        _parsed(*_commands(line))


def test_a_fence_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x.md:2: 'bash not run' is no fence"):
        blocks_of("x.md", "\n```bash not run\nls\n```\n")
    told = blocks_of("x.md", "```sql (not run: a server)\nSELECT 1\n```\n```output\na\n```\n")
    assert told == [Block("x.md:1", "sql", "SELECT 1\n", "a server", "", "a\n")]


def test_every_page_is_linked_from_the_readme_or_another_page() -> None:
    root = Path(__file__).resolve().parents[2]
    pages = {path.name: path.read_text("utf-8") for path in (root / "docs").glob("*.md")}
    readme = (root / "README.md").read_text("utf-8")
    for name in pages:
        assert f"docs/{name}" in readme or any(f"]({name}" in text for other, text in pages.items() if other != name)
