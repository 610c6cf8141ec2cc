"""The API over the small store: DeepDecipher's routes and shapes, and what is beyond them."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import zstandard
from starlette.testclient import TestClient
from tests.explorer.small_store import CODES, FIRES_ON, HOSTILE, SILENT, TINY_0, UNITS

from tracebank.explorer.addresses import in_address

TUNED = in_address("org/tuned")
FEATURES = f"/api/{TUNED}/features/{in_address(CODES)}"
OURS = ["metadata", "neuroscope", "neuron2graph", "neuron2graph-search", "neuron_explainer"]


def got(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_the_index_tells_of_models(client: TestClient) -> None:
    models = got(client, "/api")["models"]
    assert [one["name"] for one in models] == ["org/tuned", "tiny"]
    assert set(models[0]) == {
        "name", "num_layers", "layer_size", "activation_function", "num_total_neurons", "num_total_parameters",
        "dataset", "available_services",
    }  # fmt: skip
    assert models[1]["num_total_neurons"] == 2 * UNITS
    assert models[1]["available_services"] == OURS
    assert got(client, "/api/tiny/metadata") == got(client, "/api/tiny/metadata/0/0") == models[1]


def test_a_neuron_is_served_in_the_original_shapes(client: TestClient) -> None:
    told = got(client, "/api/tiny/neuroscope/0/2")
    assert set(told) == {"data", "metadata"}
    assert told["data"]["neuron_index"] == {"layer": 0, "neuron": 2}
    text = told["data"]["texts"][0]
    assert list(text) == [
        "min_range", "max_range", "min_activation", "max_activation", "data_index", "max_activating_token_index",
        "tokens", "activations",
    ]  # fmt: skip
    assert text["tokens"][:6] == list(HOSTILE)
    assert text["tokens"][text["max_activating_token_index"]] == FIRES_ON[2]
    assert (text["max_range"], max(text["activations"])) == (3.0, 3.0)
    assert len(told["data"]["texts"]) == 3
    graph = got(client, "/api/tiny/neuron2graph/0/0")["data"]
    assert set(graph) == {"graph", "graphviz", "similar"}
    assert graph["similar"] == [
        {"layer": 0, "neuron": 2, "similarity": 0.95},
        {"layer": 1, "neuron": 1, "similarity": 0.9},
    ]
    said = got(client, "/api/tiny/neuron_explainer/0/0")["data"]
    assert said == {"explanation": 'fires on "import" (1)', "score": 0.8}


def test_the_graph_is_the_stored_one(client: TestClient) -> None:
    told = got(client, "/api/tiny/neuron2graph/0/0")["data"]
    nodes, begins = told["graph"]["graph"], told["graph"]["subgraph_indices"]
    assert begins == [0, 1, 3, 4]
    assert [node["token"] for node in nodes] == ["import", "", "from", HOSTILE[0]]
    assert nodes[0]["required"] == [1, 2]
    assert nodes[2]["required"] == [3]
    assert told["graphviz"].startswith("digraph {")
    assert '"2:token:from" -> "1:token:import";' in told["graphviz"]


def test_layers_and_models_have_pages_of_their_own(client: TestClient) -> None:
    layer = got(client, "/api/tiny/neuroscope/1")["data"]
    assert layer["num_neurons"] == UNITS
    ranges = [value for _, value in layer["important_neurons"]]
    assert ranges == sorted(ranges)
    assert layer["important_neurons"][0] == [{"layer": 1, "neuron": SILENT}, 0.0]
    assert len(got(client, "/api/tiny/neuroscope")["data"]["important_neurons"]) == 2 * UNITS


def test_all_services_answer_at_once(client: TestClient) -> None:
    told = got(client, "/api/tiny/all/0/1")
    assert list(told)[:5] == OURS
    assert told["neuroscope"] == {"data": got(client, "/api/tiny/neuroscope/0/1")["data"]}
    assert "query: is missing" in got(client, "/api/tiny/all")["neuron2graph-search"]["error"]
    silent = got(client, f"/api/tiny/all/0/{SILENT}")
    assert silent["neuron2graph"] == {"error": f"neuron {SILENT} of '{TINY_0}' has no graph: it fires on no text"}
    assert silent["neuroscope"]["data"]["texts"] == []


def test_what_a_layer_has_not_is_told(client: TestClient) -> None:
    assert "no texts of neuron 0 of 'org/tuned/layers.1.neurons'" in client.get(f"/api/{TUNED}/neuroscope/1/0").text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/x/neuroscope", "no model 'x': there are org/tuned, tiny"),
        ("/api/tiny/x", "no service 'x': there are all, metadata, neuron2graph, neuron2graph-search, neuron_explainer"),
        ("/api/tiny/neuroscope/2", "no layer '2': model 'tiny' has 2, from 0 to 1"),
        ("/api/tiny/all/0/6", "no neuron '6': a layer of model 'tiny' has 6, from 0 to 5"),
        ("/api/tiny/all/0/-1", "no neuron '-1'"),
        ("/api/tiny/all/0/99999999999999999999999", "no neuron '9999"),
        ("/api/tiny/all/٣", "no layer '٣'"),
        ("/api/tiny/neuron2graph/0", "no layer page exists for service 'neuron2graph'"),
        ("/api/tiny/features/x/all", "has no dictionary 'x': there are"),
        (f"/api/tiny/features/{in_address(CODES)}/all", f"model 'tiny' has no dictionary '{CODES}'"),
    ],
)
def test_what_is_not_there_is_404_in_one_line(client: TestClient, path: str, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert said in answer.text or "dictionary 'x'" in answer.text
    assert "\n" not in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_trailing_slash_is_trimmed(client: TestClient) -> None:
    for path in ("/api", "/api/tiny/all/0/1", f"{FEATURES}/neuroscope/0"):
        answer = client.get(f"{path}/", follow_redirects=False)
        assert answer.status_code == 200
        assert answer.content == client.get(path).content


@pytest.mark.parametrize(
    ("query", "neurons"),
    [
        ("activating:import", [(0, 0), (1, 0)]),
        ("activating:from", []),
        ("important:from,activating:print", [(0, 1), (1, 1)]),
        ("any:from", [(layer, neuron) for layer in (0, 1) for neuron in range(5)]),
        ("any:From", []),
        ("activating:\0", [(0, 3), (1, 3)]),
        ("activating:<script>alert(1)</script>", [(0, 2), (1, 2)]),
    ],
)
def test_neurons_are_found_by_tokens_as_sent(client: TestClient, query: str, neurons: list[tuple[int, int]]) -> None:
    answer = client.get("/api/tiny/neuron2graph-search", params={"query": query})
    assert answer.json()["data"] == [{"layer": layer, "neuron": neuron} for layer, neuron in neurons]


@pytest.mark.parametrize("query", ["", "import", "x:import", "any:a:b", ",", "any:a," * 40])
def test_a_search_that_cannot_be_read_is_refused(client: TestClient, query: str) -> None:
    answer = client.get("/api/tiny/neuron2graph-search", params={"query": query})
    assert answer.status_code == 400
    assert answer.text.startswith("query: ")


def test_features_are_served_in_the_same_shapes(client: TestClient) -> None:
    told = got(client, f"{FEATURES}/all/0")
    assert told["neuroscope"]["data"]["neuron_index"] == {"dictionary": CODES, "feature": 0}
    assert told["neuron2graph"]["data"]["similar"] == [{"dictionary": CODES, "feature": 1, "similarity": 0.9}]
    assert got(client, f"{FEATURES}/neuroscope")["data"]["num_neurons"] == UNITS
    assert got(client, f"{FEATURES}/neuron_explainer/1")["data"]["score"] == pytest.approx(0.7)
    rows = got(client, f"/api/{TUNED}/features")
    assert [(row["dictionary"], row["graphs"]) for row in rows] == [("org/tuned/layers.0.neurons", 5), (CODES, 5)]


def test_units_come_by_pages(client: TestClient) -> None:
    seen, path = [], "/api/tiny/units?sort=max_activation&limit=5"
    while path:
        answer = client.get(path)
        assert answer.headers["x-total-count"] == str(2 * UNITS)
        seen += answer.json()
        path = answer.links.get("next", {}).get("url", "")
    assert [row["max_activation"] for row in seen] == sorted((row["max_activation"] for row in seen), reverse=True)
    assert len(seen) == 2 * UNITS
    found = got(client, f"{FEATURES}?q=import OR print&sort=feature")
    assert [row["feature"] for row in found] == [0, 1]
    assert client.get("/api/tiny/units?q=NOT").text.startswith("question: NOT stands before no term")
    bad = client.get("/api/tiny/units?limit=0")
    assert (bad.status_code, bad.text[:24]) == (422, "limit: '0' is not allowe")


def test_units_are_exported_whole(client: TestClient) -> None:
    sent = {form: client.get(f"/api/tiny/units.{form}") for form in ("arrow", "parquet", "csv")}
    arrow = pl.DataFrame(pa.ipc.open_stream(sent["arrow"].content).read_all())
    parquet = pl.read_parquet(BytesIO(sent["parquet"].content))
    table = pl.read_csv(BytesIO(sent["csv"].content))
    assert arrow.equals(parquet)
    assert arrow.height == table.height == 2 * UNITS
    assert [json.loads(one) for one in table["top_tokens"]] == arrow["top_tokens"].to_list()
    assert table.drop("top_tokens").equals(arrow.drop("top_tokens"))
    assert client.get("/api/tiny/units.xml").status_code == 422


def test_what_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    for path in ("/api", "/api/tiny/all/0/1", "/api/tiny/units", f"{FEATURES}/neuroscope/0"):
        version = client.get(path).headers["etag"]
        same = client.get(path, headers={"If-None-Match": f'"other", {version}'})
        assert (same.status_code, same.content) == (304, b"")
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/api/tiny/all/0/1").headers["etag"] != client.get("/api/tiny/all/0/2").headers["etag"]


def test_answers_are_compressed_where_asked(client: TestClient) -> None:
    path = "/api/tiny/all/0/1"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for asked, encoding in (("gzip", "gzip"), ("zstd, gzip", "zstd"), ("zstd;q=0, gzip", "gzip")):
        with client.stream("GET", path, headers={"Accept-Encoding": asked}) as answer:
            raw = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == encoding
        whole = (
            gzip.decompress(raw) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        )
        assert whole == plain.content


def test_postcard_is_not_offered(client: TestClient) -> None:
    answer = client.get("/bin/tiny/neuroscope/0/0")
    assert answer.status_code == 406
    assert "postcard" in answer.text


@pytest.mark.parametrize("place", ["", "/0", "/0/1"])
def test_notes_are_kept_and_served_by_their_name(client: TestClient, place: str) -> None:
    path, note = f"/api/tiny/colour{place}", {"a": [1, {"b": HOSTILE[0]}], "0": "zero"}
    before = client.get(f"/api/tiny/all{place}").headers["etag"]
    assert client.get(path).status_code == 404
    assert client.put(f"/api/tiny/notes/colour{place}", json=note).status_code == 204
    try:
        assert got(client, path)["data"] == note
        assert got(client, f"{path}?get=a")["data"] == note["a"]
        assert got(client, f"/api/tiny/all{place}")["colour"] == {"data": note}
        assert "colour" in got(client, "/api/tiny/metadata")["available_services"]
        assert got(client, f"/api/{TUNED}/colour")["missing_data_types"] == ["colour"]
        assert client.get(f"/api/tiny/all{place}").headers["etag"] != before
        client.put(f"/api/tiny/notes/colour{place}", json=[1, 2])
        assert got(client, f"{path}?get=1")["data"] == 2
        assert client.get(f"{path}?get=2").status_code == 404
    finally:
        assert client.delete(f"/api/tiny/notes/colour{place}").status_code == 204
    assert client.delete(f"/api/tiny/notes/colour{place}").status_code == 404
    assert client.get(f"/api/tiny/all{place}").headers["etag"] == before


@pytest.mark.parametrize("sent", [b"", b"{", b"NaN", b'"\xff"', b'"\\ud800"', b"[" * 10_000])
def test_a_note_that_is_no_json_is_refused(client: TestClient, sent: bytes) -> None:
    answer = client.put("/api/tiny/notes/colour", content=sent)
    assert answer.status_code == 400
    assert answer.text.startswith("note: what was sent is not allowed")
    assert client.put("/api/tiny/notes/metadata", content=b"1").status_code == 400
    assert client.put("/api/x/notes/colour", content=b"1").status_code == 404


def test_a_note_of_any_size_is_refused_by_the_limit(client: TestClient) -> None:
    answer = client.put("/api/tiny/notes/colour", content=b'"' + b"x" * (1 << 20) + b'"')
    assert answer.status_code == 413
    assert "1,048,576" in answer.text
