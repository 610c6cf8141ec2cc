"""`tracebank eval`: edits made by a command, runs listed and compared within 80 columns, what is wrong in one line."""

from __future__ import annotations

import json

import click
import pytest
from rich.cells import cell_len
from tests.evaluations.conftest import Home, records
from typer.testing import CliRunner

from tracebank.cli.app import app
from tracebank_assets.evaluation import newest_run
from tracebank_assets.model_editing.cases import cases
from tracebank_assets.model_editing.layers import layers


def _shown(*command: str) -> str:
    found = CliRunner().invoke(app, ["eval", *command])
    assert found.exit_code == 0, found.output
    assert max(map(cell_len, found.stdout.splitlines())) <= 80, found.stdout
    return found.stdout


def _refused(*command: str) -> str:
    with pytest.raises(click.ClickException) as refused:
        app(["eval", *command], standalone_mode=False)
    assert len(refused.value.message.splitlines()) == 1
    return refused.value.message


def test_facts_are_edited_by_a_command_and_its_runs_compared(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "runs: there is none" in _refused("runs")
    assert "first: 'abc' is not allowed: no run begins so" in _refused("compare", "abc", "abd")
    assert "--method: " in _refused("edits", home.model, "--method", "unknown")
    file = home.folder / "facts.json"
    file.write_text(json.dumps(records(11)))
    assert "nowhere.json" in _refused("edits", home.model, "--records", "nowhere.json", "--method", "ft_l")
    home.made(cases, dataset=str(file))
    home.made(layers, home.model, dataset=str(file), facts=5, layers=[0], documents=30, enough=1e9)
    asked = ("edits", home.model, "--records", str(file), "--count", "6", "--method", "ft_l,rome")
    shown = _shown(*asked)
    assert all(word in shown for word in ("ft_l", "rome", "(none)", "6 facts edited"))
    listed = _shown("runs")
    assert listed.count("model_editing") == 2
    first, second = (newest_run(home.relational, "model_editing", home.model, one) for one in ("ft_l", "rome"))
    assert first is not None
    assert second is not None
    assert first.run[:12] in listed
    compared = _shown("compare", first.run[:12], second.run[:12], "--flips", "3")
    lines = [line.split() for line in compared.splitlines() if line.startswith("after_edit/")]
    assert len(lines) == 20, "one line a metric"
    assert all("±" in change and not change.startswith("-0.00") for _, _, _, _, change, _ in lines)
    assert "flipped" in compared
