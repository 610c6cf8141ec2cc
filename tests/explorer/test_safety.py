"""What holds for every answer: headers, hosts, origins, a token, sizes, and faults that give nothing away."""

from __future__ import annotations

import logging
from typing import Final

import pytest
from starlette.testclient import TestClient

from tracebank.explorer.app import create_app
from tracebank.explorer.safety import COOKIE, HEADERS, MOST_BYTES, is_loopback, without_paths
from tracebank.explorer.state import Options
from tracebank.settings import Settings

HERE: Final = "http://127.0.0.1:8080"
TOKEN: Final = "a-token-of-a-test-0123456789"
PAGE: Final = {"Accept": "text/html"}


def _client(settings: Settings, options: Options | None = None, base: str = HERE) -> TestClient:
    app = create_app(settings, options)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError(f"of {settings.home} and postgresql://me:hunter2@host/db")

    return TestClient(app, base_url=base, follow_redirects=False)


@pytest.fixture(scope="module")
def client(module_settings: Settings) -> TestClient:
    return _client(module_settings)


@pytest.fixture
def guarded(settings: Settings) -> TestClient:
    return _client(settings, Options(host="0.0.0.0", token=TOKEN), "http://pages.example:8080")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/doc", {}, 200),
        ("GET", "/static/tracebank.css", {}, 200),
        ("GET", "/nothing", {}, 404),
        ("GET", "/static/../app.py", {}, 404),
        ("DELETE", "/doc", {}, 405),
        ("GET", "/api", {}, 503),  # nothing was migrated here
        ("GET", "/fault", {}, 500),
        ("GET", "/doc", {"Host": "evil.example"}, 421),
        ("GET", "/doc", {"Host": ""}, 421),
        ("GET", "/doc", {"Host": "[::1"}, 421),
        ("POST", "/sql", {"Origin": "http://evil.example"}, 403),
        ("POST", "/sql", {"Content-Length": "-1"}, 413),
    ],
)
def test_every_answer_has_the_headers(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    if status >= 400:
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(answer.text.splitlines()) == 1


def test_nothing_may_be_written_into_a_page_or_fetched_from_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_a_fault_gives_away_nothing_but_a_number_that_the_log_has(
    client: TestClient, caplog: pytest.LogCaptureFixture, module_settings: Settings
) -> None:
    with caplog.at_level(logging.ERROR, "tracebank.explorer"):
        text = client.get("/fault").text
    number = text.rpartition(" ")[2]
    [told] = [record.getMessage() for record in caplog.records if record.name == "tracebank.explorer"]
    assert told.startswith(f"{number}: GET /fault: Traceback")
    assert "hunter2" not in told
    assert str(module_settings.home) not in text
    assert "RuntimeError" not in text
    missing = client.get("/api").text
    assert "tracebank db upgrade" in missing
    assert str(module_settings.home) not in missing


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_own_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/doc", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        ({}, True),  # a program
        ({"Origin": HERE}, True),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "http://127.0.0.1:8080.evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_changes_come_from_own_pages_and_programs(
    client: TestClient, headers: dict[str, str], is_allowed: bool
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/sql", content="q=", headers=headers | form)
    assert answer.status_code == (400 if is_allowed else 403)  # 400: there is no query


def test_a_body_is_bounded_whether_or_not_it_says_how_long_it_is(client: TestClient) -> None:
    assert client.post("/sql", content=b"", headers={"Content-Length": str(MOST_BYTES + 1)}).status_code == 413
    parts = (b"q" * (8 << 20) for _ in range(9))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/sql", content=parts, headers=form).status_code == 413


def test_a_token_opens_by_header_or_by_form(guarded: TestClient) -> None:
    asked = guarded.get("/doc")
    assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert guarded.get("/doc", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}"):
        assert guarded.get("/doc", headers={"Authorization": wrong.encode("utf-8")}).status_code == 401
    assert guarded.get("/static/tracebank.css").status_code == 200
    sent = guarded.get("/sql?q=a%26b", headers=PAGE)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/login?next=%2Fsql%3Fq%3Da%2526b")
    form = guarded.get(sent.headers["Location"])
    assert 'name="next" value="/sql?q=a%26b"' in form.text


def test_a_browser_keeps_a_cookie_that_is_not_the_token(guarded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebank.explorer.login_page._WAIT", 0.0)
    wrong = guarded.post("/login", data={"token": "guess"})
    assert wrong.status_code == 401
    assert COOKIE not in guarded.cookies
    right = guarded.post("/login", data={"token": TOKEN, "next": "/doc"})
    assert (right.status_code, right.headers["Location"]) == (303, "/doc")
    kept = right.headers["Set-Cookie"]
    assert TOKEN not in kept
    assert "HttpOnly" in kept
    assert "samesite=strict" in kept.lower()
    assert guarded.get("/doc").status_code == 200
    guarded.cookies.set(COOKIE, "f" * 64)
    assert guarded.get("/doc", headers={"Cookie": f"{COOKIE}={'f' * 64}"}).status_code == 401
    assert guarded.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: y", ""])
def test_whoever_brings_a_token_stays_here(guarded: TestClient, place: str) -> None:
    answer = guarded.post("/login", data={"token": TOKEN, "next": place})
    assert answer.headers["Location"] == "/"


def test_other_origins_read_only_where_a_setting_names_them(settings: Settings) -> None:
    other = "https://pages.example"
    ask = {"Origin": other, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    closed = _client(settings)
    assert "Access-Control-Allow-Origin" not in closed.get("/doc/openapi.json", headers={"Origin": other}).headers
    assert closed.options("/doc/openapi.json", headers=ask).status_code == 405
    opened = _client(settings, Options(host="0.0.0.0", token=TOKEN, origins=(other,)), "http://server.example")
    before = opened.options("/api/m/activations", headers=ask)  # a browser brings no token with it
    assert (before.status_code, before.headers["Access-Control-Allow-Origin"]) == (200, other)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    read = opened.get("/doc/openapi.json", headers={"Origin": other} | bearer)
    assert (read.status_code, read.headers["Access-Control-Allow-Origin"]) == (200, other)
    assert "Access-Control-Allow-Credentials" not in read.headers
    evil = opened.get("/doc/openapi.json", headers={"Origin": "https://evil.example"} | bearer)
    assert "Access-Control-Allow-Origin" not in evil.headers
    assert opened.post("/sql", headers={"Origin": other} | bearer).status_code == 403  # pages are no questions


def test_loopback_is_told_from_what_others_reach() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]")] == [True] * 5
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "pages.example", "localhost.evil")] == [
        False
    ] * 5


def test_folders_of_this_machine_are_taken_out(settings: Settings) -> None:
    told = without_paths(settings, f"series store {settings.series.database}: gone; 'SELECT /* a/b */ 1' stays")
    assert told == "series store TRACEBANK_HOME/series: gone; 'SELECT /* a/b */ 1' stays"


def test_the_page_of_the_api_tells_of_every_route_and_shows_what_to_copy(client: TestClient) -> None:
    document = client.get("/doc/openapi.json").json()
    page = client.get("/doc").text
    assert all(f"<code>{path}</code>" in page for path in document["paths"])
    assert f"curl &#39;{HERE}/api&#39;" in page
    assert "/sql/answer.csv" in page
