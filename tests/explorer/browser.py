"""A headless Chromium on a page: nothing beyond loopback is asked for, nothing goes wrong in its console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

CHROMIUM: Final = (
    os.environ.get("TRACEBANK_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
NEEDS_CHROMIUM: Final = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian package of that name)")
_REFUSED: Final = "the server responded with a status of 4"
"""What Chromium says of an answer that a page shows as a line of its own."""
_WAIT: Final = 15_000
"""Milliseconds for what a page does."""


@contextmanager
def opened(address: str, theme: Literal["light", "dark"] = "light") -> Iterator[Page]:
    """A page of a new browser, at an address.

    Raises:
        AssertionError: when the block ends: something beyond loopback was asked for, an answer was a fault of the
            server, or the console tells of an error.
    """
    from playwright.sync_api import sync_playwright

    beyond: list[str] = []
    errors: list[str] = []

    def only_loopback(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            beyond.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900}, color_scheme=theme)
        context.set_default_timeout(_WAIT)
        context.route("**/*", only_loopback)
        page = context.new_page()
        page.on(
            "console",
            lambda said: errors.append(said.text) if said.type == "error" and _REFUSED not in said.text else None,
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 500 else None)
        page.goto("/")
        yield page
        browser.close()
    assert not beyond, f"asked for beyond loopback: {beyond}"
    assert not errors, errors


def serious(page: Page) -> dict[str, list[str]]:
    """What axe finds on a page that keeps somebody from using it: rules, and where they are broken."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return {
        f"{one['id']}: {one['help']}": [node["html"][:200] for node in one["nodes"]][:3]
        for one in found
        if one["impact"] in ("serious", "critical")
    }


def seen(page: Page, folder: str, name: str) -> None:
    """Keep a picture of a page, where a folder was named."""
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
