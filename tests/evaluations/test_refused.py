"""What an evaluation cannot be of is one line, and no run is begun; moments stand with the layer."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select
from tests.evaluations.conftest import Home, records
from tests.homes import fault

from tracebank_assets.model_editing.cases import cases
from tracebank_assets.model_editing.edits import edits
from tracebank_assets.model_editing.layers import layers
from tracebank_schemas.evaluation import EvalRun
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.model_editing import Edit, EditLayer, SecondMoment


def test_a_layer_stands_with_its_moments_and_what_is_not_good_enough_begins_no_run(home: Home) -> None:
    file = home.folder / "facts.json"
    file.write_text(json.dumps(records(8)))
    home.made(cases, dataset=str(file))
    found = home.made(layers, home.model, dataset=str(file), facts=5, documents=30, enough=1e-6)
    assert not found["a_layer_says_facts"]
    with home.relational.reading() as session:
        chosen = session.scalars(select(EditLayer.layer).where(EditLayer.chosen)).all()
        moments = session.execute(select(SecondMoment.layer, SecondMoment.tokens, SecondMoment.path)).all()
        assert set(session.scalars(select(SecondMoment.weights_hash))) == set(
            session.scalars(select(LanguageModel.weights_hash))
        )
    assert len(chosen) == 1
    assert [layer for layer, _, _ in moments] == [0, 1]
    assert all(tokens > 0 and Path(path).is_file() for _, tokens, path in moments)
    said = fault(home.make(edits, f"{home.model}/rome", dataset=str(file), count=2))
    assert "v* leaves" in said
    assert len(said.strip().splitlines()) == 1
    assert home.count(EvalRun) == home.count(Edit) == 0


def test_edits_of_nothing_are_one_line(home: Home) -> None:
    for name, line in (
        (f"{home.model}/ft_l", "dataset: 'nowhere' has no cases"),
        ("ft_l", "MODEL/EDITOR"),
        ("unknown/rome", "model 'unknown' is not in relational.language_models"),
    ):
        said = fault(home.make(edits, name, dataset="nowhere"))
        assert line in said
        assert len(said.strip().splitlines()) == 1
    assert "count" in fault(home.make(edits, f"{home.model}/ft_l", dataset="nowhere", count=0))
    assert home.count(EvalRun) == 0
