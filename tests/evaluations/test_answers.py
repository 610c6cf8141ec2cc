"""Asset `identifier_swaps/answers`: a model behind an endpoint, and who knows nothing and always says the same."""

from __future__ import annotations

import pytest
from tests.endpoint_double import answering
from tests.evaluations.conftest import Home
from tests.homes import fault

from tracebank_assets.evaluation import EvalRows, newest_run
from tracebank_assets.identifier_swaps.answers import answers
from tracebank_assets.identifier_swaps.examples import examples
from tracebank_schemas.evaluation import EvalSummary
from tracebank_schemas.identifier_swaps import SwapAnswer


def test_an_endpoint_is_asked_in_both_orders_and_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.made(examples, root=home.sources)
    assert "name an endpoint to ask" in fault(home.make(answers, source=home.sources))
    with answering() as endpoint:
        monkeypatch.setenv("TRACEBANK_EXPLAINER_URL", endpoint.url)
        monkeypatch.setenv("TRACEBANK_EXPLAINER_MODEL", "told")
        endpoint.judge = lambda _: "1"
        home.made(answers, source=home.sources, count=3)
        home.made(answers, source=home.sources)
        assert len(endpoint.asked) == home.count(SwapAnswer) == 16, "each example in both orders, once"
    run = newest_run(home.relational, "identifier_swaps_chat", "told")
    assert run is not None
    summary = EvalRows(home.relational, run.run).rows(EvalSummary)
    found = {(row["part"], row["metric"]): row["value"] for row in summary.iter_rows(named=True)}
    # Who always says 1 is right where the good one stands first, and never else: no better than chance.
    assert found == {(order, "valid"): 1.0 for order in ("good_first", "bad_first")} | {
        ("good_first", "correct"): 1.0,
        ("bad_first", "correct"): 0.0,
    }
