"""The explorer in a browser, over what the demo made: what somebody who never opened a terminal does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.explorer.browser import NEEDS_CHROMIUM, opened, seen, serious

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(1600)]

UNIT = "/units/small~layers.3.neurons/17"
SHOTS = os.environ.get("TRACEBANK_TEST_SHOTS", "")
"""A folder that pictures of the pages are kept in."""


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    """Of the explorer, served by its command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = subprocess.Popen(
        ["tracebank", "explore", "--port", str(port)], cwd=environment["PWD"], env=environment, stderr=subprocess.PIPE
    )
    give_up = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert serving.poll() is None, serving.communicate()[1].decode()
            assert time.monotonic() < give_up
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    serving.terminate()
    assert serving.wait(20) in (0, -signal.SIGTERM)


def test_a_unit_is_found_by_its_token_and_followed_to_one_like_it(address: str) -> None:
    with opened(address) as page:
        page.get_by_label("Tokens that units fire on").fill("any:import OR any:and")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("heading", name=re.compile(r"^[\d,]+ units?$")).wait_for()
        page.locator("main tbody a").first.click()
        graph = page.locator("svg.graph").first
        graph.wait_for()
        assert page.locator(".text").count() >= 20
        graph.locator("a").first.click()
        page.wait_for_url("**/search?q=*")
        page.goto(UNIT)
        seen(page, SHOTS, "unit")
        page.goto(_like_another(page))
        first = page.locator("h1").inner_text()
        similar = page.locator("section:has(> #similar) tbody tr").first
        similar.locator("th a").hover()
        similar.locator(".hovered svg").wait_for()
        similar.locator("th a").first.click()
        page.wait_for_function("before => document.querySelector('h1').innerText != before", arg=first)
        with page.expect_navigation():
            page.keyboard.press("j")


def _like_another(page: Page) -> str:
    """Address of a unit whose graph is like that of another."""
    for number in range(256):
        told = page.request.get(f"/api/small/neuron2graph/3/{number}").json()
        if told.get("data", {}).get("similar"):
            return f"/units/small~layers.3.neurons/{number}"
    raise AssertionError("no two units are alike")


def test_a_note_is_kept_and_is_only_text(address: str) -> None:
    said = "<b>fires on imports</b> " + "\N{OWL}"
    with opened(address) as page:
        page.goto(UNIT)
        page.get_by_text("Write a note").click()
        page.get_by_label("Note", exact=True).fill(said)
        page.get_by_role("button", name="Keep it").click()
        page.get_by_text(said).wait_for()
        page.goto("/notes")
        page.get_by_text(said).wait_for()
        page.goto(UNIT)
        page.get_by_role("button", name="Delete this note").click()
        page.get_by_text("Nobody has noted anything here yet").wait_for()


def test_a_text_shows_who_fires_and_who_was_said_to(address: str) -> None:
    with opened(address) as page:
        page.goto("/text")
        page.get_by_label("Model").select_option("small")
        page.get_by_label("Units").select_option("small/layers.3.neurons")
        page.get_by_label("Text, up to").fill("The bag is great and the strap fits.")
        page.get_by_role("button", name="See who fires").click()
        page.get_by_role("heading", name="Units that fire most on it").wait_for(timeout=90_000)
        table = page.get_by_role("region", name="Units that fire most")
        shares = [float(share) for share in table.locator("tbody tr td:nth-child(3)").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > 0.3
        seen(page, SHOTS, "text")
        table.locator("tbody a").first.click()
        page.locator("#graph").wait_for()


def test_two_units_and_two_models_stand_side_by_side(address: str) -> None:
    with opened(address) as page:
        for first, second in (("small/layers.3.neurons/17", "small/layers.3.neurons/18"), ("small", "small-ppo-seed0")):
            page.goto("/compare")
            page.get_by_label("Unit, dictionary or model").fill(first)
            page.get_by_label("And another of the kind").fill(second)
            page.get_by_role("button", name="Compare").click()
            page.get_by_role("link", name=first, exact=True).first.wait_for()
            assert page.get_by_role("link", name=second, exact=True).count()


def test_a_rollout_is_played_back_and_stops(address: str) -> None:
    with opened(address) as page:
        page.goto("/results/safe_rl")
        for link in [one.get_attribute("href") for one in page.locator("main .card a").all()]:
            page.goto(str(link))
            if page.locator("[data-play]").count():
                break
        page.locator("[data-play]").click()
        page.wait_for_function("document.querySelector('[data-step]').value > 5")
        seen(page, SHOTS, "rollout")
        page.locator("[data-play]").click()
        at = page.locator("[data-step]").input_value()
        page.wait_for_timeout(200)
        assert page.locator("[data-step]").input_value() == at


def test_sql_answers_draws_and_refuses(address: str, tmp_path: Path) -> None:
    with opened(address) as page:
        page.goto("/sql")
        query = page.locator("textarea#q")
        query.fill("SELECT symbol, toUInt32(count()) AS trades FROM series.trades GROUP BY symbol ORDER BY symbol")
        query.press("Control+Enter")
        rows = page.get_by_role("region", name="Rows")
        rows.get_by_text("SYNBTC").wait_for(timeout=60_000)
        seen(page, SHOTS, "sql")
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        download.value.save_as(tmp_path / "answer.csv")
        assert (tmp_path / "answer.csv").read_text().startswith('"symbol","trades"')
        query.fill("INSERT INTO series.trades VALUES (1)")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("alert").get_by_text("refused, queries are read-only").wait_for()


def test_the_sql_of_a_page_gives_its_numbers(address: str) -> None:
    with opened(address) as page:
        page.goto(UNIT)
        page.get_by_text("that gives the same numbers").click()
        sql = str(page.get_by_role("button", name="Copy SQL").get_attribute("data-copy"))
        page.goto(f"/sql?q={quote(sql)}&run=1")
        page.get_by_role("region", name="Rows").get_by_text("quantile").first.wait_for(timeout=60_000)


PAGES = (
    "/",
    "/models/small",
    "/models/small-ppo-seed0",
    "/units/small~layers.3.neurons",
    UNIT,
    "/search?q=any:import",
    "/compare?a=small%2Flayers.3.neurons%2F17&b=small%2Flayers.3.neurons%2F18",
    "/text",
    "/results",
    "/ledger",
    "/ledger/explorer/units",
    "/sql?q=SELECT+1+AS+one&run=1",
    "/doc",
    "/notes",
)


DARK = (UNIT, "/text", "/results/forecasting/earnings", "/sql?q=SELECT+1+AS+one&run=1")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_for_everybody(address: str, theme: str) -> None:
    """Nothing serious is found by axe, in light and in dark; a phone needs not scroll aside."""
    found = {}
    with opened(address, theme) as page:
        page.goto("/results")
        views = [str(one.get_attribute("href")) for one in page.locator("main .card a").all()]
        views = [view for view in views if view.count("/") == 3]
        assert len(views) > 20
        one_a_group = {view.rpartition("/")[0]: view for view in views}.values()
        for path in (*PAGES, *one_a_group) if theme == "light" else DARK:
            page.goto(path, wait_until="load")
            found |= {(path, what): where for what, where in serious(page).items()}
            page.set_viewport_size({"width": 390, "height": 800})
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found[path, "too wide for a phone"] = page.evaluate("document.documentElement.scrollWidth")
            page.set_viewport_size({"width": 1280, "height": 900})
    assert not found
