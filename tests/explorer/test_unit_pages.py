"""Pages of models and units over the small store: all are there, say what is not, and keep hostile tokens text."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
from markupsafe import escape
from starlette.testclient import TestClient
from tests.explorer.small_store import CODES, DICTIONARIES, FIRES_ON, HOSTILE, PROBE, SCRIPT, SILENT, TINY_0, TINY_1
from tests.upgraded import upgraded

from tracebank.explorer import text_pages
from tracebank.explorer.addresses import in_address
from tracebank.explorer.app import create_app
from tracebank.explorer.pages import sql_text, token_search, unit_address
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank_schemas.explorer import UnitText

PAGES: Final = (
    "/",
    "/models/tiny",
    "/models/org~tuned",
    "/models/org~tuned/densities",
    f"/models/org~tuned?probe={quote(PROBE)}",
    *(f"/units/{in_address(name)}" for name in DICTIONARIES),
    f"/units/{in_address(TINY_0)}?sort=density&offset=2&q=import+OR+print&least_f1=0.1&graphs=true",
    *(unit_address(TINY_0, number) for number in range(6)),
    unit_address(CODES, 1),
    f"{unit_address(TINY_0, 0)}?texts=all&graph=all",
    f"{unit_address(TINY_0, 2)}/card",
    f"{unit_address(TINY_0, SILENT)}/card",
    f"{unit_address(TINY_0, 2)}/texts/top-0-1",
    "/search",
    "/search?q=import",
    f"/search?q={quote(f'any:{chr(34)}{SCRIPT}{chr(34)}')}&within=tiny",
    "/search?q=nothing-fires-on-this",
    "/compare",
    f"/compare?a={quote(TINY_0)}/0&b={quote(TINY_1)}/1",
    f"/compare?a={in_address(TINY_0)}/0&b={quote(TINY_0)}/{SILENT}",
    f"/compare?a={quote(TINY_0)}&b={quote(CODES)}",
    "/compare?a=tiny&b=org/tuned",
    "/text",
    "/notes",
)
WHOLE: Final = tuple(page for page in PAGES if not page.endswith(("/card", "/texts/top-0-1", "/densities")))


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, *tags: str) -> list[dict[str, str]]:
        """Attributes of all elements of some names."""
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_there_and_keeps_to_its_own_server(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["content-type"].startswith("text/html")
    for tag, attributes in Seen(answer.text).elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} has {name}"
            assert name != "style", f"{tag} has a style that the policy forbids"
            if name in ("src", "href", "action", "hx-get", "hx-post"):
                assert not urlsplit(value).netloc, f"{tag} {name}={value}"
                assert value.startswith(("/", "#")), f"{tag} {name}={value}"
    assert SCRIPT not in answer.text


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_has_headings_in_order_labels_and_one_of_each_id(client: TestClient, page: str) -> None:
    seen = Seen(client.get(page).text)
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), sorted(one for one in ids if ids.count(one) > 1)
    labelled = {attributes.get("for") for attributes in seen.of("label")}
    for field in seen.of("input", "select", "textarea"):
        assert field.get("type") == "hidden" or field["id"] in labelled, field
    assert all(header.get("scope") for header in seen.of("th"))
    assert len(seen.of("main")) == 1


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/models/none", "no model 'none': there are org/tuned, tiny"),
        ("/models/none/densities", "no model 'none': there are org/tuned, tiny"),
        ("/models/org~tuned?probe=x", f"no probe 'x': there are {PROBE}"),
        ("/units/none", "no dictionary 'none': there are "),
        (f"{unit_address(TINY_0, 6)}", f"dictionary '{TINY_0}' has no unit 6: it has 6, from 0 to 5"),
        (f"/units/{in_address(TINY_0)}/x", "unit 'x': units have numbers, from 0"),
        (f"{unit_address(TINY_0, 10**40)}", f"dictionary '{TINY_0}' has no unit"),
        (f"{unit_address(TINY_0, 0)}/texts/top-0-9", "has no text 'top-0-9': quantile-1-1, "),
        (f"{unit_address(TINY_0, 0)[:-1]}6/card", f"dictionary '{TINY_0}' has no unit 6"),
        ("/compare?a=tiny&b=none", "no unit, dictionary or model 'none': there are "),
        (f"/compare?a=tiny&b={quote(TINY_0)}", f"tiny is a model, {TINY_0} a dictionary: compare two alike"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(client: TestClient, page: str, said: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")
    assert said in answer.text
    assert "\n" not in answer.text


def test_hostile_tokens_are_text(client: TestClient) -> None:
    page = client.get(unit_address(TINY_0, 2)).text
    assert page.count(str(escape(SCRIPT))) > 5
    assert str(escape(HOSTILE[2])) in page
    assert "&amp;lt;b&amp;gt;" in page
    assert {attributes.get("src") for attributes in Seen(page).of("script")} == {
        "/packages/htmx/htmx-2.min.js",
        "/static/tracebank.js",
    }


def test_a_unit_shows_everything_that_is_stored_of_it(client: TestClient) -> None:
    page = client.get(unit_address(TINY_0, 0)).text
    seen = Seen(page)
    assert [attributes["id"] for attributes in seen.of("li") if attributes.get("id", "").startswith("top")] == [
        "top-0-1", "top-0-2", "top-0-3",
    ]  # fmt: skip
    assert page.count('class="s9 strongest" title="1.0">import</b>') >= 1
    links = [attributes.get("href", "") for attributes in seen.of("a")]
    assert token_search("import", True) in links
    assert token_search("from", False) in links
    assert unit_address(TINY_0, 1) in links
    assert unit_address(TINY_1, 1) in links
    assert f"{unit_address(TINY_1, 1)}/card" in [attributes.get("hx-get") for attributes in seen.of("a")]
    for told in ("neuron_graph", "token_maximum", "0.90", "run-1", "relational.unit_texts"):
        assert told in page


def test_a_unit_that_never_fires_says_so(client: TestClient) -> None:
    page = client.get(unit_address(TINY_0, SILENT)).text
    assert "It has no graph: it fires on no text" in page
    assert "There is no text on which it fires." in page
    assert "It is 0 on each of the 1,000 tokens" in page
    assert 'rel="next"' not in page
    assert 'rel="prev"' in page


def test_units_of_a_dictionary_are_paged_sorted_and_filtered(client: TestClient) -> None:
    here = f"/units/{in_address(TINY_0)}"

    def units(query: str) -> list[str]:
        links = Seen(client.get(f"{here}?{query}").text).of("a")
        return [one["href"][len(here) + 1 :] for one in links if re.fullmatch(rf"{re.escape(here)}/\d+", one["href"])]

    assert units("sort=f1") == ["0", "1", "2", "3", "4", "5"]
    assert units("sort=density") == ["4", "3", "2", "1", "0", "5"]
    assert units("sort=feature&offset=4") == ["4", "5"]
    assert units("q=import+OR+print") == ["0", "1"]
    assert units("least_f1=0.75") == ["0", "1"]
    wrong = client.get(f"{here}?q=%22open")
    assert 'role="alert"' in wrong.text
    assert client.get(f"{here}?least_f1=x").text.count("is no number from 0 to 1") == 1
    assert client.get("/units", params={"dictionary": TINY_0, "feature": "3"}, follow_redirects=False).headers[
        "location"
    ] == unit_address(TINY_0, 3)


def test_search_finds_what_a_click_on_a_token_asks_for(client: TestClient) -> None:
    for number, token in enumerate(FIRES_ON):
        page = client.get(token_search(token, True, TINY_0)).text
        assert unit_address(TINY_0, number) in page, token
    page = client.get(token_search("from", False, TINY_0)).text
    assert all(unit_address(TINY_0, number) in page for number in range(SILENT))
    refused = client.get("/search", params={"q": "what:x"})
    assert refused.status_code == 400
    assert 'role="alert"' in refused.text


def test_a_note_is_kept_shown_and_deleted(client: TestClient) -> None:
    here = unit_address(TINY_0, 1)
    sent = client.post(f"{here}/notes", data={"service": "seen", "value": f"{SCRIPT}\r\nx"}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, f"{here}#notes")
    for page in (here, "/notes"):
        shown = client.get(page).text
        assert str(escape(SCRIPT)) in shown
        assert SCRIPT not in shown
        assert "seen" in shown
    assert unit_address(TINY_0, 1) in client.get("/notes").text
    assert client.get("/api/tiny/seen/0/1").json()["data"] == f"{SCRIPT}\nx"
    client.post(f"{here}/notes", data={"service": "seen", "deleted": "1"})
    assert "Nobody has noted anything here yet" in client.get(here).text
    for page in ("/models/org~tuned", f"/units/{in_address(CODES)}"):
        client.post(f"{page}/notes", data={"service": "note", "value": "of all of it"})
        assert "of all of it" in client.get(page).text
        assert f'href="{page}"' in client.get("/notes").text
        client.post(f"{page}/notes", data={"service": "note", "deleted": "1"})
        assert "of all of it" not in client.get(page).text


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        ({"service": "a", "value": "b"}, {"origin": "http://evil.example"}, 403),
        ({"service": "a", "value": "b"}, {"sec-fetch-site": "cross-site"}, 403),
        ({"service": "a", "value": "b"}, {"content-type": "text/plain"}, 415),
        ({"service": "a/b", "value": "b"}, {}, 400),
        ({"service": "", "value": "b"}, {}, 400),
        ({"service": "neuroscope", "value": "b"}, {}, 400),
        ({"service": "a", "value": ""}, {}, 400),
        ({"service": "a", "value": "x" * 20_001}, {}, 400),
    ],
)
def test_a_note_is_refused(client: TestClient, data: dict[str, str], headers: dict[str, str], status: int) -> None:
    answer = client.post(f"{unit_address(TINY_0, 1)}/notes", data=data, headers=headers)
    assert answer.status_code == status
    assert "Nobody has noted anything here yet" in client.get(unit_address(TINY_0, 1)).text


class Answering:
    """In the place of the process that runs models."""

    is_ready = True

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def ask(self, *arguments: object, timeout: float) -> dict[str, object]:
        self.asked.append(arguments)
        unit = {"dictionary": TINY_0, "feature": 2, "activation": 1.5, "share": 0.5, "predicted": 0.75}
        tokens = [{"token": token, "true": [unit], "predicted": [unit]} for token in (SCRIPT, " x")]
        strongest = {**unit, "position": 0, "token": SCRIPT}
        return {"model": "tiny", "dictionaries": [TINY_0], "notice": "", "tokens": tokens, "units": [strongest]}

    async def close(self) -> None:
        """Nothing was opened."""


def test_a_text_is_answered_beside_what_graphs_say(explored: Settings) -> None:
    app = create_app(explored)
    worker = Answering()
    object.__setattr__(app.state.explorer, "inference", worker)
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        page = client.post("/text", data={"text": "a\r\nb", "model": "tiny", "dictionary": TINY_0})
        assert page.status_code == 200
        assert worker.asked == [("tiny", "a\nb", [TINY_0], 3)]
        assert SCRIPT not in page.text
        assert page.text.count(str(escape(SCRIPT))) == 2  # where the unit is strongest, and in the first row
        assert "0.50" in page.text
        assert "0.75" in page.text
        assert page.text.count(f'href="{unit_address(TINY_0, 2)}"') == 5
        for text, status, said in (
            ("", 400, "text: 0 characters are not allowed"),
            (
                "x" * (text_pages.LONGEST_TEXT + 1),
                413,
                "text: 100,001 characters are not allowed; allowed: 1 to 100,000",
            ),
        ):
            refused = client.post("/text", data={"text": text, "model": "tiny"})
            assert refused.status_code == status
            assert said in refused.text
        assert len(worker.asked) == 1


def test_a_long_text_is_cut_around_its_strongest_token(client: TestClient, explored: Settings) -> None:
    relational = open_relational(explored)
    tokens = [f" t{at}" for at in range(1024)]
    row = {
        "dictionary": TINY_1, "feature": 4, "stratum": "top", "quantile": 0, "rank": 9, "document": 1,
        "first_position": 0, "max_token": 700, "min_activation": 0.0, "max_activation": 5.0, "tokens": tokens,
        "activations": [0.0] * 700 + [5.0] + [0.0] * 323,
    }  # fmt: skip
    with relational.session() as session:
        session.add(UnitText(**row))
    relational.close()
    page = client.get(unit_address(TINY_1, 4)).text
    assert "show 927 more tokens" in page
    assert " t652" in page
    assert " t748" in page
    assert " t651" not in page
    assert " t749" not in page
    whole = client.get(f"{unit_address(TINY_1, 4)}/texts/top-0-9").text
    assert " t0 t1 t2" in whole
    assert " t1023" in whole
    assert " t0 t1 t2" in client.get(f"{unit_address(TINY_1, 4)}?texts=all").text


def test_an_empty_store_says_what_to_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("empty"))
    upgraded(settings)
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as client:
        page = client.get("/").text
        assert "There is no model in this home yet" in page
        assert "tracebank demo" in page
        assert "tracebank demo" in client.get("/search").text
        assert "tracebank demo" in client.get("/text").text
        assert client.get("/models/x").text == "no model 'x': there is none yet"


def test_names_in_sql_are_literals() -> None:
    assert sql_text("a'b\\") == "'a''b\\\\'"
