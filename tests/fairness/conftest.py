"""A home for worlds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.homes import Home, opened

from tracebank.settings import Settings


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with opened(settings, monkeypatch) as home:
        yield home
