"""The shared suite on every engine that is to be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tracebank.stores.series_store import SeriesStore

from .conformance import Conformance
from .engines import ENGINES, Engine


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SeriesStore]:
    engine: Engine = request.param
    case = request.node.name.replace(f"[{engine.name}-", "[")
    if gap := engine.gaps.get(request.node.originalname) or engine.gaps.get(case):
        request.applymarker(pytest.mark.xfail(reason=f"{engine.name}: {gap.reason}", raises=gap.raises, strict=True))
    with engine.opened(tmp_path) as opened:
        yield opened


class TestConformance(Conformance):
    pass


def test_known_gaps_name_tests_that_exist() -> None:
    for engine in ENGINES:
        assert {name.partition("[")[0] for name in engine.gaps} <= set(dir(Conformance)), engine.name
