"""Evaluations that die in the middle, by SIGKILL too, come to the rows of one that did not; done ones ask no model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.evaluations.conftest import Home, records
from tests.homes import fault
from transformers import GPTNeoXForCausalLM

from tracebank_assets.evaluation import EvalRows
from tracebank_assets.identifier_swaps.examples import examples
from tracebank_assets.identifier_swaps.scores import scores
from tracebank_assets.model_editing.cases import cases
from tracebank_assets.model_editing.edits import edits
from tracebank_assets.model_editing.layers import layers
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.identifier_swaps import SwapScore
from tracebank_schemas.model_editing import Edit, EditScore

_DYING = textwrap.dedent("""
    import json, os, signal, sys
    import dagster as dg
    from tracebank.resources import Stores
    from tracebank_assets.evaluation import EvalRows
    from tracebank_assets.identifier_swaps.scores import scores
    from tracebank_assets.language_models.named import MODELS

    kept = EvalRows.keep

    def dying(self, rows):
        kept(self, rows)
        os.kill(os.getpid(), signal.SIGKILL)

    EvalRows.keep = dying
    model, config = sys.argv[1], json.loads(sys.argv[2])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(MODELS.name, [model])
        ops = {scores.key.to_python_identifier(): {"config": config}}
        dg.materialize([scores], partition_key=model, instance=instance, resources={"stores": Stores()},
                       run_config={"ops": ops})
""")


@contextmanager
def _asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often a model is asked."""
    asked, forward = [0], GPTNeoXForCausalLM.forward

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        asked[0] += 1
        return forward(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(GPTNeoXForCausalLM, "forward", counted)
        yield asked


def _content(home: Home, *tables: Any) -> list[list[tuple[str, ...]]]:
    return [home.content(table) for table in tables]


def _forget(home: Home) -> None:
    with home.relational.session() as session:
        session.execute(EvalRun.__table__.delete())


def test_scores_of_a_process_that_is_killed_are_those_of_one_that_is_not(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.made(examples, root=home.sources)
    with _asked(monkeypatch) as asked:
        home.made(scores, home.model, **home.small)
    assert asked[0] > 0, "the model is asked here"
    tables = SwapScore, EvalSample, EvalSummary
    whole = _content(home, *tables)
    _forget(home)
    assert home.count(SwapScore) == home.count(EvalSample) == 0
    died = subprocess.run(
        [sys.executable, "-c", _DYING, home.model, json.dumps(home.small)],
        env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert home.count(SwapScore) == 32, "a frame stands"
    assert home.count(EvalSample) == 3 * 32
    home.made(scores, home.model, **home.small)
    assert _content(home, *tables) == whole
    with _asked(monkeypatch) as asked:
        home.made(scores, home.model, **home.small)
    assert asked[0] == 0
    assert _content(home, *tables) == whole


@pytest.mark.parametrize(("editor", "sequential"), [("rome", False), ("ft_l", True)])
def test_edits_that_are_killed_go_on_and_are_not_made_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, editor: str, sequential: bool
) -> None:
    file = home.folder / "facts.json"
    file.write_text(json.dumps(records(8)))
    home.made(cases, dataset=str(file))
    home.made(layers, home.model, dataset=str(file), facts=5, layers=[0], documents=30, enough=1e9)
    config = {"dataset": str(file), "count": 2, "sequential": sequential}
    name, tables = f"{home.model}/{editor}", (Edit, EditScore, EvalSample)
    home.made(edits, name, **config)
    whole = _content(home, *tables)
    assert home.count(Edit) == 2
    _forget(home)
    kept, calls = EvalRows.keep, [0]

    def killed(self: EvalRows, rows: Any) -> None:
        kept(self, rows)
        calls[0] += 1
        if calls[0] == (3 if sequential else 1):
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(EvalRows, "keep", killed)
        assert fault(home.make(edits, name, **config)).endswith("killed\n")
    assert home.count(Edit) == 1
    home.made(edits, name, **config)
    assert _content(home, *tables) == whole

    def none(*_given: object) -> None:
        raise AssertionError("what is done is kept again")

    with monkeypatch.context() as patch:
        patch.setattr(EvalRows, "keep", none)
        home.made(edits, name, **config)
    assert _content(home, *tables) == whole
