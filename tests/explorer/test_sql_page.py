"""The SQL page: what it offers, how answers are shown and exported, and what is refused, stopped or waited for."""

from __future__ import annotations

import io
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from tests.explorer.small_store import SCRIPT

import tracebank_assets
from tracebank.engines.clickhouse import reach
from tracebank.explorer import sql_offers, sql_pages
from tracebank.explorer.worker import Worker
from tracebank.settings import Settings
from tracebank_schemas.catalogue import METADATA, TABLES

ENDLESS = "SELECT sum(number) FROM numbers(1000000000000)"
MODELS = "SELECT model, layers FROM relational.language_models ORDER BY model"


@pytest.fixture
def worker(client: TestClient) -> Worker:
    found: Worker = client.app.state.explorer.sql  # type: ignore[attr-defined]
    return found


def _run(client: TestClient, query: str, **fields: str) -> Any:
    return client.post("/sql", data={"q": query, **fields}, headers={"HX-Request": "true"})


def _refused(client: TestClient, query: str, **fields: str) -> tuple[int, str]:
    """Status of the page, and the one line that it says."""
    answer = client.post("/sql", data={"q": query, **fields})
    [line] = re.findall(r'<p class="problem" role="alert">(.*)</p>', answer.text)
    return answer.status_code, unescape(line)


def test_tables_and_columns_are_offered_and_nothing_is_opened(client: TestClient, worker: Worker) -> None:
    page = client.get("/sql").text
    for name in (*(f"series.{table}" for table in TABLES), *(f"relational.{table}" for table in METADATA.tables)):
        assert f'data-name="{name}"' in page
    assert "SELECT+*+FROM+series.trades+LIMIT+100" in page
    assert "30 s" in page
    assert "1024 MiB" in page
    assert worker.pid is None


def test_questions_of_every_group_are_offered() -> None:
    found = sql_offers.examples("clickhouse")
    groups = Path(tracebank_assets.__file__).parent.glob("*/questions.py")
    assert {path.parent.name for path in groups} <= set(found)
    assert all(text.lstrip().startswith(("SELECT", "WITH")) for asked in found.values() for _, text in asked)


def test_an_address_is_run_only_where_it_says_so_and_no_other_site_sent_it(client: TestClient, worker: Worker) -> None:
    assert f">\n{MODELS}</textarea>" in client.get("/sql", params={"q": MODELS}).text
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert client.get("/sql", params={"q": MODELS, "run": "1"}, headers=elsewhere).status_code == 200
    assert client.get("/sql/answer.csv", params={"q": MODELS}, headers=elsewhere).status_code == 403
    assert worker.pid is None
    answer = client.get("/sql", params={"q": MODELS, "run": "1"})
    assert "org/tuned</td>" in answer.text
    assert worker.pid


def test_answer_is_a_table_with_what_it_cost_and_where_it_is_found_again(client: TestClient) -> None:
    answer = _run(client, MODELS)
    assert answer.status_code == 200
    assert not answer.text.lstrip().startswith("<!doctype")
    assert '<td>org/tuned</td><td class="number">2</td>' in answer.text
    assert float(answer.headers["X-Query-Seconds"]) > 0
    assert parse_qs(urlsplit(answer.headers["HX-Push-Url"]).query) == {"q": [MODELS]}
    whole = client.post("/sql", data={"q": MODELS})  # where there are no scripts
    assert whole.text.startswith("<!doctype")
    assert "<td>org/tuned</td>" in whole.text


def test_what_is_stored_stays_text(client: TestClient) -> None:
    query = "SELECT token, '<img src=x>' AS \"<b>\", char(0) AS nul FROM relational.feature_tokens"
    text = _run(client, query).text
    assert SCRIPT not in text
    assert "&lt;script&gt;alert(1)" in text
    assert ">&lt;b&gt;</th>" in text
    assert "&lt;img src=x&gt;" in text
    assert "\0" not in text


def test_rows_beyond_the_first_thousand_are_told(client: TestClient) -> None:
    text = _run(client, "SELECT number, if(number = 3, NULL, 1) AS b FROM numbers(1001)").text
    assert "The first 1,000 rows" in text
    assert text.count("<tr>") == 1001
    assert '<span class="quiet">null</span>' in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("INSERT INTO series.trades VALUES (1)", "read-only"),
        ("DROP TABLE series.trades", "read-only"),
        ("SELECT * FROM file('/etc/passwd', 'CSV', 'a String')", r"file\(\)"),
        ("SELECT * FROM url('http://127.0.0.1/', 'CSV', 'a String')", r"url\(\)"),
        ("SELECT 1 SETTINGS max_memory_usage = 0", "SETTINGS"),
        ("SELECT 1; SELECT 2", "one statement|1"),
        ("SELECT sleep(3)", r"sleep\(\)"),
        ("SELECT nothing", "nothing"),
        ("SELECT {a:Int32}", "give it below the query: a=VALUE"),
    ],
)
def test_what_the_command_refuses_is_refused_in_one_line(client: TestClient, query: str, says: str) -> None:
    status, line = _refused(client, query)
    assert status == 400
    assert re.search(says, line)
    part = _run(client, query)  # is shown where it is asked for
    assert (part.status_code, unescape(part.text).count(line)) == (200, 1)


def test_fields_that_cannot_be_used_are_told(client: TestClient) -> None:
    assert _refused(client, "") == (400, "q: there is no query")
    assert _run(client, "SELECT 1", chart="pie").text == "chart: 'pie' is not allowed; use line, bar, scatter"
    assert _refused(client, "SELECT 1", parameters="a") == (400, "parameters: 'a' is not name=value")
    assert _run(client, "x" * 100_001).status_code == 413
    assert _run(client, "SELECT {a:String} || {b:String} AS c", parameters="a=x=y\n b = z").text.count(">x=yz<") == 1


def test_charts_are_drawn_or_it_is_said_why_not(client: TestClient) -> None:
    rows = "SELECT number AS a, number * number AS b, if(number % 2, 'odd', 'even') AS kind FROM numbers(10)"
    assert "<title>b by a and kind</title>" in _run(client, rows, chart="line", x="a", y="b", by="kind").text
    assert "<title>b by a</title>" in _run(client, rows, chart="scatter").text
    assert "<title>a by kind</title>" in _run(client, rows, chart="bar", x="kind").text
    times = "SELECT toDateTime(number * 3600, 'UTC') AS t, number AS n FROM numbers(10)"
    assert "<title>n by t</title>" in _run(client, times, chart="line").text
    assert "column &#39;c&#39; is not in the answer; it has a, b, kind" in _run(client, rows, chart="line", x="c").text
    assert "choose bars" in _run(client, rows, chart="line", x="kind").text
    assert "no column of numbers" in _run(client, "SELECT 'a' AS a", chart="line").text


def test_exports_hold_every_row(client: TestClient) -> None:
    asked = {"q": "SELECT number AS a, toString(number) AS b FROM numbers(300000)"}
    csv = pa.csv.read_csv(io.BytesIO(client.get("/sql/answer.csv", params=asked).content))
    parquet = pq.read_table(io.BytesIO(client.post("/sql/answer.parquet", data=asked).content))
    answer = client.get("/sql/answer.arrow", params=asked)
    arrow = pa.ipc.open_file(answer.content).read_all()
    assert [table["a"].to_pylist() == list(range(300_000)) for table in (csv, parquet, arrow)] == [True] * 3
    assert answer.headers["Content-Disposition"] == 'attachment; filename="answer.arrow"'


def test_what_an_export_refuses_is_told_before_it_begins(client: TestClient) -> None:
    refused = client.get("/sql/answer.csv", params={"q": "SELECT * FROM file('/etc/passwd')"})
    assert (refused.status_code, refused.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert client.get("/sql/answer.xlsx", params={"q": "SELECT 1"}).text.startswith("form 'xlsx' is not written; there")


def test_a_query_without_end_is_stopped_while_other_pages_answer(
    client: TestClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_pages, "SECONDS", 2.0)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(_refused, client, ENDLESS)
        while not worker.is_asked:
            time.sleep(0.01)
        assert client.get("/sql").status_code == 200
        assert client.get("/api").status_code == 200
        assert not slow.done()
        status, line = slow.result()
    assert status == 504
    assert line.startswith("the query took longer than 2 s; narrow it, or run it by tracebank sql --timeout")
    assert ">1</td>" in _run(client, "SELECT 1 AS one").text


def test_a_process_that_is_killed_in_the_middle_is_replaced(client: TestClient, worker: Worker) -> None:
    _run(client, "SELECT 1")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(_refused, client, ENDLESS)
        while not worker.is_asked:
            time.sleep(0.01)
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
    assert slow.result() == (500, "the process that answers ended before its answer did; ask again")
    assert ">1</td>" in _run(client, "SELECT 1 AS one").text


def test_who_holds_the_store_is_told_while_other_pages_answer(client: TestClient, explored: Settings) -> None:
    folder = Path(str(explored.series.database))
    reach.stop(folder)
    with reach.owner_lock(folder, 60):
        status, line = _refused(client, "SELECT 1")
        assert status == 503
        assert f"pid {os.getpid()}" in line
        assert str(explored.home) not in line
        assert client.get("/api").status_code == 200
    assert ">1</td>" in _run(client, "SELECT 1").text
