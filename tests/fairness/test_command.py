"""`tracebank fairness`: worlds run and shown within 80 columns, and what is wrong in one line."""

from __future__ import annotations

import click
import pytest
from rich.cells import cell_len
from tests.homes import Home
from typer.main import get_command
from typer.testing import CliRunner

from tracebank_assets.commands.fairness import fairness
from tracebank_schemas.fairness import FairnessDifference, FairnessSummary


def _shown(*command: str) -> str:
    found = CliRunner().invoke(fairness, list(command))
    assert found.exit_code == 0, found.output
    assert max(map(cell_len, found.stdout.splitlines())) <= 80, found.stdout
    return found.stdout


def _refused(*command: str) -> str:
    with pytest.raises(click.ClickException) as refused:
        get_command(fairness).main(list(command), standalone_mode=False)
    assert len(refused.value.message.splitlines()) == 1
    return refused.value.message


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_world_is_run_by_a_command_and_shown(home: Home) -> None:
    assert "'tracebank fairness run lending_7' makes one" in _refused("show", "lending_7")
    small = ("--people", "200", "--periods", "12", "--mitigations", "none,group_thresholds", "--every", "5,0")
    shown = _shown("run", "lending_7", "--labels", "accepted,window", "--no-nulls", *small)
    assert "lending_7, fitted every 5 periods, mean over periods: 1 seed\n" in shown
    assert "fitted once, mean over periods: less no mitigation" in shown
    assert shown.count("group_thresholds") == 4
    assert "±" not in shown, "of one seed there is no interval"
    assert "slope per period" in _shown("show", "lending_7", "--labels", "window", "--statistic", "slope")
    assert "has no summary of labels 'all' and feedback 0" in _refused("show", "lending_7", "--labels", "all")


def test_intervals_stand_beside_and_sure_changes_have_a_star(home: Home) -> None:
    told = {"world": "lending_7", "labels": "accepted", "every": 10, "feedback": 0.0, "statistic": "mean"}
    of = {"groups": "as_they_are", "seeds": 5, "undefined": 0, "low": -0.3, "high": -0.1, "value": -0.2}
    row = {**told, **of, "mitigation": "reweighing", "measure": "opportunity_gap"}
    with home.relational.session() as session:
        session.add(FairnessSummary(**row))
        for groups, adjusted in (("as_they_are", 0.01), ("permuted", 0.5)):
            sure = {"factor": "mitigation", "p_value": 0.001, "adjusted": adjusted}
            session.add(FairnessDifference(**{**row, "groups": groups}, **sure))
    shown = _shown("show", "lending_7")
    assert "5 seeds, 95 % intervals" in shown
    assert shown.count("-0.200±0.100") == 3
    assert shown.count("-0.200±0.100*") == 1
    assert shown.index("-0.200±0.100*") < shown.index("groups permuted")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("run", "mars"), "world: 'mars' is not allowed; allowed: lending_fico"),
        (("show", "mars"), "world: 'mars' is not allowed"),
        (("run", "lending_7", "--every", "often"), "--every: 'often' is not allowed; allowed: whole numbers"),
        (("run", "lending_7", "--feedback", "x"), "--feedback: 'x' is not allowed; allowed: numbers"),
        (("run", "lending_7", "--labels", ","), "--labels: nothing is not allowed; allowed: one or more"),
        (("run", "lending_7", "--mitigations", "kind"), "mitigations: 'kind' is not allowed; allowed in lending_7"),
        (("show", "lending_7", "--statistic", "worst"), "--statistic: 'worst' is not allowed; allowed: mean"),
    ],
)
def test_what_cannot_be_run_or_shown_is_one_line(home: Home, command: tuple[str, ...], said: str) -> None:
    assert said in _refused(*command)
    assert home.count(FairnessSummary) == 0
