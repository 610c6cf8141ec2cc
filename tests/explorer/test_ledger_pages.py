"""The ledger: the newest of every partition, what it was made of, and whether that is older than what stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient
from tests.explorer.small_store import SCRIPT
from tests.filled import filled
from tests.upgraded import upgraded

from tracebank.explorer.app import create_app
from tracebank.explorer.provenance import shown_by
from tracebank.query.connection import connect
from tracebank.settings import Settings, SettingsError
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.ledger import Materialization

TIME = datetime(2026, 11, 1, tzinfo=UTC)


def _entry(asset: str, partition: str, hour: int, version: str, **more: object) -> Materialization:
    at = TIME + timedelta(hours=hour)
    told = {
        "run_id": f"run-{asset}-{partition}-{hour}"[:64],
        "started_at": at,
        "finished_at": at,
        "seconds": hour + 1.0,
    }
    row = {**told, "asset_key": asset, "partition": partition, "data_version": version, "code_version": "code-1"}
    return Materialization(**filled(Materialization, **row, **{"rows": hour, "input_versions": {}, **more}))


@pytest.fixture(scope="module")
def ledger(module_settings: Settings) -> Iterator[RelationalStore]:
    relational = open_relational(upgraded(module_settings))
    with relational.session() as session:
        session.add_all(
            [
                _entry("market/trades", "day-1", 0, "t1"),
                _entry("market/trades", "day-1", 5, "t2"),
                _entry("market/trades", "day-2", 1, "t9"),
                _entry("market/bars", "day-1", 2, "b1", input_versions={"market/trades": "t1"}),
                _entry("market/bars", "day-2", 3, "b2", input_versions={"market/trades": "t9", "/raw/file": "x"}),
                _entry("market/odd", "", 4, "o1", input_versions={"market/trades": "unknown", "market/gone": "t1"}),
                _entry("other/group", SCRIPT, 6, "g1"),
                *(_entry("many/parts", f"part-{number:03}", 7, f"v{number}") for number in range(120)),
            ]
        )
    yield relational
    relational.close()


@pytest.fixture(scope="module")
def served(module_settings: Settings, ledger: RelationalStore) -> Iterator[TestClient]:
    with TestClient(create_app(module_settings), base_url="http://127.0.0.1:8080") as opened:
        yield opened


def test_the_newest_of_every_partition_is_listed(served: TestClient) -> None:
    text = served.get("/ledger?group=market").text
    assert "1 to 5 of 5" in text
    assert text.count("market/trades</a></th>") == 2
    assert "<code>t2</code>" in text
    assert "<code>t1</code>" not in text
    assert text.index("market/trades</a></th>") < text.index("market/odd</a></th>"), "the youngest first"


def test_what_is_older_than_its_inputs_is_told(served: TestClient) -> None:
    bars = served.get("/ledger/market/bars", params={"partition": "day-1"}).text
    assert "newer versions by now: market/trades" in bars
    assert '<span class="older">now t2</span>' in bars
    fresh = served.get("/ledger/market/bars", params={"partition": "day-2"}).text
    assert "newer versions" not in fresh
    assert "/raw/file" in fresh, "what is no asset is named and not linked"
    odd = served.get("/ledger/market/odd").text
    assert "newer versions" not in odd, "of what the ledger does not have nothing is said"


def test_pages_are_turned(served: TestClient) -> None:
    first, last = served.get("/ledger?group=many").text, served.get("/ledger?group=many&offset=100").text
    assert "1 to 50 of 120" in first
    assert "part-000</a>" in first
    assert "101 to 120 of 120" in last
    assert "part-119</a>" in last
    assert "part-000</a>" not in last


def test_a_history_plots_what_it_cost(served: TestClient) -> None:
    text = served.get("/ledger/market/trades").text
    assert text.count('<svg class="chart"') == 4
    assert all(title in text for title in ("Rows", "Seconds", "Peak memory", "Bytes on disk"))
    assert "3 of 3, the youngest first" in text
    one = served.get("/ledger/market/odd").text
    assert "<svg" not in one, "one materialisation is no line"


def test_a_hostile_partition_stays_text(served: TestClient) -> None:
    for address in (
        "/ledger",
        "/ledger/other/group",
        "/ledger/other/group?partition=%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        response = served.get(address, params=None)
        assert response.status_code == 200
        assert SCRIPT not in response.text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/ledger?group=no", "no group 'no': there are many, market, other"),
        ("/ledger/market/no", "no asset 'market/no': there are market/bars, market/odd, market/trades"),
        ("/ledger/no/no", "no asset 'no/no': there are many/parts, market/bars"),
        ("/ledger/market/bars?partition=no", "no partition of market/bars 'no': there are day-1, day-2"),
    ],
)
def test_what_is_not_there_is_one_line(address: str, told: str, served: TestClient) -> None:
    response = served.get(address)
    assert response.status_code == 404
    assert response.text.startswith(told)


def test_runs_are_links_only_where_dagster_is_known(module_settings: Settings, served: TestClient) -> None:
    assert "/runs/" not in served.get("/ledger/market/odd").text
    known = module_settings.model_copy(update={"dagster_url": "http://127.0.0.1:3000/"})
    with TestClient(create_app(known), base_url="http://127.0.0.1:8080") as linked:
        assert 'href="http://127.0.0.1:3000/runs/run-market/odd--4"' in linked.get("/ledger/market/odd").text
    with pytest.raises(SettingsError, match="TRACEBANK_DAGSTER_URL: 'javascript:alert"):
        Settings.load(dagster_url="javascript:alert(1)")


def test_shown_by_the_newest_or_by_nobody(ledger: RelationalStore) -> None:
    with ledger.reading() as session:
        newest = shown_by(session, "market/trades")
        assert newest.entry is not None
        assert (newest.partition, newest.entry.data_version) == ("day-1", "t2")
        asked = shown_by(session, "market/trades", "day-2")
        assert asked.entry is not None
        assert asked.entry.data_version == "t9"
        assert shown_by(session, "market/trades", "").entry is None
    assert newest.entry.run_id, "what is shown is read after the transaction"


def test_the_sql_beside_a_history_gives_its_rows(module_settings: Settings, served: TestClient) -> None:
    import html
    import re

    text = served.get("/ledger/other/group", params={"partition": SCRIPT}).text
    found = re.search(r'data-copy="([^"]*)"', text)
    assert found
    with connect(module_settings) as connection:
        rows = connection.sql(html.unescape(found.group(1)))
    assert rows["data_version"].to_list() == ["g1"]
