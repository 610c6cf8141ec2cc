"""Views of results: every one gives the same answer on its page and in `tracebank sql`, and says its intervals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.explorer.result_rows import POLICY, STUDY, fill_results
from tests.explorer.small_store import SCRIPT

from tracebank.explorer.state import Missing
from tracebank.explorer.view_tables import moment, shown, table_of, values_of
from tracebank.explorer.views import (
    MOST,
    Answer,
    Parameter,
    View,
    answer,
    chosen,
    found_views,
    on_store,
    view_named,
    written,
)
from tracebank.query.connection import Connection, connect
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore

VIEWS = found_views()
IDS = [f"{view.group}/{view.name}" for view in VIEWS]


@pytest.fixture(scope="module")
def relational(explored: Settings) -> Iterator[RelationalStore]:
    store = open_relational(explored)
    fill_results(store)
    yield store
    store.close()


@pytest.fixture(scope="module")
def connection(explored: Settings, relational: RelationalStore) -> Iterator[Connection]:
    with connect(explored) as opened:
        yield opened


def _alike(value: object) -> object:
    """A value as both stores say it."""
    if isinstance(value, (bool, int, float)):
        return float(f"{value:.9g}")
    if isinstance(value, datetime):
        return value.isoformat(" ")[:19]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        return json.dumps(json.loads(value))
    return value[:19] if isinstance(value, str) and moment(value) is not None else value


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_a_view_says_the_same_in_both_ways(view: View, relational: RelationalStore, connection: Connection) -> None:
    with relational.reading() as session:
        values = {choice.parameter.name: choice.chosen for choice in chosen(session, view, {})}
        here = answer(session, view, values)
    there = connection.sql(written(view.sql, values, backslashes=True))
    assert here.rows, "the test's rows have something of every view"
    assert there.columns == list(here.columns)
    rows = [[_alike(value) for value in row] for row in here.rows]
    told = [[_alike(value) for value in row] for row in there.rows()]
    if relational.engine.dialect.name != "sqlite":  # PostgreSQL orders texts by the language of its database
        rows, told = sorted(rows, key=repr), sorted(told, key=repr)
    assert rows == told


def test_a_view_of_a_hostile_name_says_the_same(relational: RelationalStore, connection: Connection) -> None:
    view = view_named(VIEWS, "sparse_features", "probes")
    with relational.reading() as session:
        values = {one.parameter.name: one.chosen for one in chosen(session, view, {"study": STUDY, "task": "reward"})}
        here = answer(session, view, values)
    assert len(here.rows) == 3
    assert connection.sql(written(view.sql, values, backslashes=True)).height == 3


class _Page(HTMLParser):
    """What has to be looked at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.links: list[str] = []
        self.inline = 0
        self.scripts = 0
        self.labels: set[str] = set()
        self.fields: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        self.links += [str(told[name]) for name in ("href", "src", "action") if name in told]
        self.inline += "style" in told or any(name.startswith("on") for name in told) or tag == "style"
        self.scripts += tag == "script" and "src" not in told
        if tag == "label" and "for" in told:
            self.labels.add(str(told["for"]))
        if tag in ("select", "input", "textarea") and told.get("type") != "range":
            self.fields.add(str(told.get("id")))


def _checked(response: Any) -> str:
    assert response.status_code == 200, response.text
    page = _Page(response.text)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(later - before <= 1 for before, later in zip(page.headings, page.headings[1:], strict=False))
    assert all(link.startswith(("/", "#")) for link in page.links), "no request leaves this server"
    assert page.inline == page.scripts == 0
    assert page.fields <= page.labels
    assert SCRIPT not in response.text
    return str(response.text)


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_a_page_shows_a_view(view: View, relational: RelationalStore, client: TestClient) -> None:
    text = _checked(client.get(f"/results/{view.group}/{view.name}"))
    assert "SQL that gives the same numbers" in text
    assert f"The ledger has no materialisation of {view.asset}" in text or f"/ledger/{view.asset}" in text
    if view.chart:
        assert '<svg class="chart"' in text
    if "relational.curves" in view.sql:
        assert "explorer/curves" in text
        assert "first</th>" in text


def test_pages_list_views(relational: RelationalStore, client: TestClient) -> None:
    text = _checked(client.get("/results"))
    assert all(f"/results/{view.group}/{view.name}" in text for view in VIEWS)
    mine = _checked(client.get("/results/market"))
    assert "/results/market/bars" in mine
    assert "/results/safe_rl" not in mine


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/results/nothing", "no group 'nothing' has views; there are fairness, "),
        ("/results/market/nothing", "group market has no view 'nothing'; there are coverage, gaps, quality, bars"),
        ("/results/market/bars?run=no", "run: 'no' is not there; there is v/SYNBTC/2024-08-08/60 s"),
        ("/results/market/bars?walk=no", "view bars has no parameter 'walk'; it has run"),
        ("/results/market/gaps?walk=no", "view gaps has no parameter 'walk'; it has none"),
    ],
)
def test_what_is_not_there_is_one_line(
    address: str, told: str, relational: RelationalStore, client: TestClient
) -> None:
    response = client.get(address)
    assert response.status_code == 404
    assert response.text.startswith(told)
    assert "\n" not in response.text


def test_a_winner_has_an_interval_apart_from_the_next(relational: RelationalStore) -> None:
    view = view_named(VIEWS, "tsdb_benchmark", "fastest")
    with relational.reading() as session:
        found = answer(session, view, {})
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert {row["workload"]: row["verdict"] for row in rows} == {"R1": "fastest", "R2": "not told apart"}
    assert {row["least_median"] for row in rows} == {"a"}, "of the newest run alone"
    assert len(rows) == 2, "who stands beside a wrong answer has beaten nobody"


def test_earnings_stand_beside_nothing_holding_and_chance(relational: RelationalStore, client: TestClient) -> None:
    text = _checked(client.get("/results/forecasting/earnings"))
    assert all(f">{kind}</td>" in text for kind in ("strategy", "nothing", "holding", "random"))


def test_a_hostile_name_can_be_chosen(relational: RelationalStore, client: TestClient) -> None:
    text = _checked(client.get("/results/sparse_features/probes", params={"study": STUDY, "task": "reward"}))
    assert "&lt;script&gt;" in text
    assert "shuffled" in text, "the null stands in the table"


def test_a_rollout_is_told_to_its_script(relational: RelationalStore, client: TestClient) -> None:
    text = _checked(client.get("/results/safe_rl/rollout", params={"run": POLICY}))
    assert 'src="/static/playback.js"' in text
    found: list[dict[str, Any]] = []

    class Box(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            told = dict(attrs)
            if "data-rollout" in told:
                found.append(json.loads(str(told["data-rollout"])))

    Box().feed(text)
    assert found[0]["steps"] == [0, 1, 2]
    assert found[0]["lines"]["angle"] == [1, None, 0.5]
    assert "satisfied: abs(angle) <= 0.2095 rad" in found[0]["lines"]


def test_a_table_joins_values_and_intervals_and_lines() -> None:
    columns = ("name", "value", "value_low", "value_high", "n", "run")
    table = table_of(
        Answer(columns, [("a", 0.123456, 0.1, 0.2, 12345, "f" * 64), ("b", 2.0, None, None, None, "x")], False)
    )
    assert [column.name for column in table.columns] == ["name", "value", "n", "run"]
    first, second = table.rows
    assert (first[1].text, first[1].interval) == ("0.1235", "0.1 to 0.2")
    assert (second[1].text, second[1].interval, second[1].is_number) == ("2", "", True)
    assert first[2].text == "12,345"
    assert second[2].text == "–"
    assert (first[3].text, first[3].whole) == ("f" * 10 + "…", "f" * 64)
    lines = table_of(Answer(("line", "xs", "ys", "lows", "highs"), [("a", "[0,1,2]", "[3,null,1]", [], [])], False))
    assert [column.name for column in lines.columns] == ["line", "first", "last", "least", "most"]
    assert [cell.text for cell in lines.rows[0]] == ["a", "3", "1", "1", "3"]


def test_values_are_read_in_whatever_form_a_store_has_them() -> None:
    assert values_of("[1, null, 2.5]") == values_of([1, None, 2.5]) == [1.0, None, 2.5]
    assert moment("2026-11-01 12:00:00.5") == moment(datetime(2026, 11, 1, 12, 0, 0, 500_000)) == 1793534400.5
    assert moment("v1") is None
    assert shown(None) == "–"
    assert shown(True) == "yes"
    assert shown(float("nan")) == "nan"
    assert shown("2026-11-01 12:00:00.500000") == "2026-11-01 12:00:00"
    assert shown(1.5e-9) == "1.5e-09"


def test_values_are_bound_and_written_as_literals() -> None:
    sql = "SELECT a.b FROM relational.t AS a WHERE a.b = :b AND a.c = 'x::y'"
    assert on_store(sql) == "SELECT a.b FROM t AS a WHERE a.b = :b AND a.c = 'x::y'"
    assert "a.b = 'it''s \\ ' AND" in written(sql, {"b": "it's \\ "}, backslashes=False)
    assert "a.b = 'it''s \\\\ ' AND" in written(sql, {"b": "it's \\ "}, backslashes=True)


def test_no_more_rows_are_held_than_are_shown(relational: RelationalStore) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    view = View("many", "many", "market/bars", many, parameters=(Parameter("a", "A", "SELECT 'x' WHERE 1 = 0"),))
    with relational.reading() as session:
        found = answer(session, view, {})
        assert (len(found.rows), found.is_cut) == (MOST, True)
        assert chosen(session, view, {})[0].chosen == ""
        with pytest.raises(Missing, match="'z' is not there; there is x"):
            chosen(session, View("v", "v", "a/b", "", parameters=(Parameter("a", "A", "SELECT 'x'"),)), {"a": "z"})


def test_views_are_found_without_dagster_and_torch() -> None:
    code = (
        "import sys; from tracebank.explorer.views import found_views; assert found_views(); "
        "print([name for name in ('dagster', 'torch', 'transformers', 'numba') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_names_of_views_are_their_own() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(view.doc and view.title for view in VIEWS)
