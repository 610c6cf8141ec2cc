"""Rows of Neuronpedia and Anthropic's JSON: out by their schemas, in again as they were, and refused whole."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient
from tests.explorer.small_store import CODES, HOSTILE, SILENT, UNITS

from tracebank.explorer.addresses import in_address
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank_schemas.explorer import UnitText
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.sparse_autoencoder import FeatureExplanation

FEATURES = f"/api/{in_address('org/tuned')}/features/{in_address(CODES)}"
AT = f"{FEATURES}/exchange"
KINDS = ("neuronpedia-features", "neuronpedia-activations", "neuronpedia-explanations")
TEXTS = {"type": "array", "items": {"type": "string"}}
NUMBERS = {"type": "array", "items": {"type": "number"}}
ANTHROPIC: dict[str, Any] = {
    "type": "object",
    "required": ["index", "examples_quantiles"],
    "properties": {
        "index": {"type": "number"},
        "examples_quantiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["quantile_name", "examples"],
                "properties": {
                    "quantile_name": {"type": "string"},
                    "examples": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["tokens_acts_list", "tokens"],
                            "properties": {"tokens_acts_list": NUMBERS, "tokens": TEXTS},
                        },
                    },
                },
            },
        },
        "top_logits": TEXTS,
        "bottom_logits": TEXTS,
    },
}
"""What a feature of Anthropic's has to be, as `feature-details-schema.json` has it."""


def rows(client: TestClient, kind: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{AT}/{kind}{query}")
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def content(settings: Settings) -> dict[str, list[Any]]:
    relational = open_relational(settings)
    with relational.reading() as session:
        found = {
            table.__tablename__: sorted(
                (
                    [value for key, value in row.row().items() if key != "explained_at"]
                    for row in session.scalars(select(table))
                ),
                key=str,
            )
            for table in (UnitText, FeatureExplanation)
        }
    relational.close()
    return found


def test_features_go_out_as_anthropic_has_them(client: TestClient) -> None:
    for number in range(UNITS):
        told = client.get(f"{AT}/anthropic/{number}").json()
        jsonschema.validate(told, ANTHROPIC)
        assert told["index"] == number
    assert told["examples_quantiles"] == []
    told = client.get(f"{AT}/anthropic/0").json()
    assert [group["quantile_name"] for group in told["examples_quantiles"]][:2] == [
        "Top activations",
        "Fifth 5 of 5 by strength",
    ]
    assert told["examples_quantiles"][0]["examples"][0]["tokens"][:6] == list(HOSTILE)


def test_rows_go_out_as_neuronpedia_has_them(client: TestClient) -> None:
    features = rows(client, KINDS[0])
    assert [row["index"] for row in features] == [str(number) for number in range(UNITS)]
    assert (features[1]["frac_nonzero"], features[1]["maxActApprox"]) == (0.011, 2.0)
    assert len(features[1]["freq_hist_data_bar_values"]) == len(features[1]["freq_hist_data_bar_heights"]) == 50
    texts = rows(client, KINDS[1], "?feature=2")
    assert len(texts) == 9
    assert all(max(row["values"]) == row["values"][row["maxValueTokenIndex"]] == row["maxValue"] for row in texts)
    said = rows(client, KINDS[2], "?limit=1")
    assert [row["typeName"] for row in said] == ["neuron_graph", "token_maximum"]
    assert rows(client, KINDS[1], f"?feature={SILENT}") == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_out_comes_in_and_changes_nothing(client: TestClient, explored: Settings, kind: str) -> None:
    sent, before = client.get(f"{AT}/{kind}").content, content(explored)
    for body in (sent, json.dumps(rows(client, kind)).encode()):
        assert client.put(f"{AT}/{kind}", content=body).status_code == 204
        assert client.get(f"{AT}/{kind}").content == sent
        assert content(explored) == before


def test_anthropic_comes_in_and_changes_only_places(client: TestClient) -> None:
    sent = client.get(f"{AT}/anthropic/1").content
    assert client.put(f"{AT}/anthropic/1", content=sent).status_code == 204
    assert client.get(f"{AT}/anthropic/1").json() == json.loads(sent)


def test_the_newest_rows_go_out(client: TestClient, explored: Settings) -> None:
    path = f"{FEATURES}/all/3"
    version = client.get(path).headers["etag"]
    row = {"index": 3, "tokens": ["\0", "b"], "values": [1.5, -0.5]}
    assert client.put(f"{AT}/{KINDS[1]}", json=[row]).status_code == 204
    answer = client.get(path, headers={"If-None-Match": version})
    assert answer.status_code == 200
    texts = answer.json()["neuroscope"]["data"]["texts"]
    assert [(text["tokens"], text["activations"]) for text in texts] == [(["\N{SYMBOL FOR NULL}", "b"], [1.5, -0.5])]
    relational = open_relational(explored)
    with relational.reading() as session:
        entries = session.scalar(
            select(func.count()).where(
                Materialization.asset_key == "explorer/imported", Materialization.partition == CODES
            )
        )
    relational.close()
    assert entries


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        (KINDS[1], {"index": UNITS, "tokens": ["a"], "values": [1]}, "index: '6' is not allowed; allowed: 0 to 5"),
        (KINDS[1], {"index": "-1", "tokens": ["a"], "values": [1]}, "index: '-1' is not allowed"),
        (KINDS[1], {"index": 0, "tokens": ["a"], "values": [1, 2]}, "1 tokens and 2 values"),
        (KINDS[1], {"index": 0, "tokens": [], "values": []}, "0 tokens and 0 values"),
        (KINDS[1], {"index": 0, "tokens": ["a"], "values": ["1"]}, "Expected `float`, got `str`"),
        (KINDS[1], {"index": 0}, "missing required field `tokens`"),
        (KINDS[0], {"index": 0, "maxActApprox": 1, "frac_nonzero": 2}, "frac_nonzero of 0: 2.0 is not allowed"),
        (KINDS[2], {"index": 0, "description": "x", "typeName": "y" * 33}, "up to 32 characters"),
    ],
)
def test_one_bad_row_refuses_all(
    client: TestClient, explored: Settings, kind: str, row: dict[str, Any], said: str
) -> None:
    before = content(explored)
    good = {"index": 0, "tokens": ["new"], "values": [9.0], "description": "new", "typeName": "new"}
    answer = client.put(f"{AT}/{kind}", json=[good | {"maxActApprox": 9, "frac_nonzero": 0.5}, row])
    assert answer.status_code == 400
    assert said in answer.text
    assert "\n" not in answer.text
    assert content(explored) == before


@pytest.mark.parametrize("sent", [b"{", b"[{]", b"\xff", b"1", b'{"index": 1e999}', b"[" * 5000])
def test_what_is_no_json_is_refused(client: TestClient, sent: bytes) -> None:
    for form in (*KINDS, "anthropic/0"):
        assert client.put(f"{AT}/{form}", content=sent).status_code == 400
    assert client.put(f"{AT}/anthropic/0", json={"index": 1, "examples_quantiles": []}).status_code == 400


def test_a_text_beyond_the_limit_is_refused(client: TestClient) -> None:
    for length, status in ((100_001, 413), (1_000_000, 413), (0, 400)):
        answer = client.post("/api/tiny/activations", json={"text": "x" * length})
        assert answer.status_code == status
        assert "100,000" in answer.text
    assert client.post("/api/x/activations", json={"text": "x"}).status_code == 404
    assert client.post("/api/tiny/activations", json={"text": "x", "dictionaries": ["x"]}).status_code == 404
    assert client.post("/api/tiny/activations", content=b"{").status_code == 422
