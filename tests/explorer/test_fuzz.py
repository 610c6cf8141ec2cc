"""Requests drawn by chance from the OpenAPI document: whatever is asked, the server has no fault, and says what it may.

Names in paths are often those of the small store: most requests would else stop at a model that is not there. Twenty
thousand of them: `python -m tracebank_benchmarks.explorer fuzz`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from tests.explorer.small_store import CODES, HOSTILE, TINY_0

from tracebank.explorer.addresses import in_address
from tracebank.explorer.app import create_app
from tracebank.settings import Settings

HOST = {"Host": "127.0.0.1:8080"}
KNOWN = {
    "model": ["tiny", in_address("org/tuned")],
    "dictionary": [in_address(TINY_0), in_address(CODES)],
    "service": ["metadata", "neuroscope", "neuron2graph", "neuron2graph-search", "neuron_explainer", "noted"],
    "layer": ["0", "1", "2", "-1"],
    "neuron": ["0", "5", "6", "x"],
    "feature": ["0", "5", "6", str(1 << 70)],
    "form": ["arrow", "parquet", "csv", "neuronpedia-features", "neuronpedia-activations", "neuronpedia-explanations"],
}


def _drawn(value: Any) -> int:
    """A number that is the same in every process."""
    return crc32(str(value).encode(errors="replace"))


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Names that are there, three times of four."""
    del context
    return {
        name: KNOWN[name][_drawn(value) % len(KNOWN[name])] if name in KNOWN and _drawn(value) % 4 else value
        for name, value in (path_parameters or {}).items()
    }


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Questions that are hostile or are understood, where one is asked."""
    del context
    asked = {"q": ["import OR NOT any:from", *HOSTILE], "query": ["any:from,activating:import", *HOSTILE]}
    return query and {
        name: asked[name][_drawn(value) % len(asked[name])] if name in asked and _drawn(value) % 2 else value
        for name, value in query.items()
    }


@pytest.fixture(scope="module")
def schema(explored: Settings) -> Any:
    app = create_app(explored)
    # Which units fire on a text is asked of a process of its own: another test's business.
    app.state.explorer = replace(app.state.explorer, inference=None)
    return schemathesis.openapi.from_asgi("/doc/openapi.json", app, headers=HOST).include(path_regex="^/(api|bin)")


def test_no_request_is_a_fault_of_the_server(schema: Any) -> None:
    asked = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        asked.add(f"{operation.method.upper()} {operation.path}")

        @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def held(case: Any) -> None:
            case.call_and_validate(
                headers=HOST,
                checks=[not_a_server_error, status_code_conformance, content_type_conformance],
            )

        held()
    assert {"GET /api/{model}/all/{layer}/{neuron}", "PUT /api/{model}/notes/{service}"} <= asked
    assert len(asked) > 30
