"""Whatever writes or reaches beyond the stores is refused in one line, and changes no canary; whatever reads works."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tracebank.engines.duckdb.guard import TABLE_FUNCTIONS, admitted
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError, SqlRefused
from tracebank.settings import Settings

from .conftest import store_file
from .hostile import families

ENVIRONMENT = "canary-of-the-environment"
SECRETS = ("hunter2", ENVIRONMENT, "root:", "/.duckdb/")
FAMILIES = dict(families())


def _contents(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(home.rglob("*"))
    }


@pytest.fixture
def canaries(warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What stands for `@name@` in a statement. Files, folders, network and rows are as before when the test ends."""
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACEBANK_CANARY", ENVIRONMENT)
    Connection(warehouse).sql("SELECT 1")
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, seen), daemon=True).start()
        before = _contents(warehouse.home), _contents(tmp_path)
        yield {
            "@folder@": str(tmp_path),
            "@home@": str(warehouse.home),
            "@store@": str(store_file(warehouse)),
            "@port@": str(server.getsockname()[1]),
        }
    assert (_contents(warehouse.home), _contents(tmp_path)) == before
    assert seen == []
    found = Connection(warehouse).sql("SELECT symbol, count(*), sum(price) FROM trades GROUP BY 1 ORDER BY 1")
    assert found.rows() == [("BTCUSDT", 50, 6225.0), ("ETHUSDT", 50, 6225.0)]


def _accept(server: socket.socket, seen: list[str]) -> None:
    while True:
        try:
            peer, address = server.accept()
        except OSError:
            return
        seen.append(str(address))
        peer.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hostile_statement_is_refused_in_one_line_and_leaves_no_trace(
    family: str, connection: Connection, canaries: dict[str, str]
) -> None:
    canary_frame = pl.DataFrame({"password": ["hunter2"]})
    for template in FAMILIES[family]:
        statement = template
        for name, value in canaries.items():
            statement = statement.replace(name, value)
        message = _refusal(connection, statement)
        assert len(message.splitlines()) == 1, statement
        assert 10 < len(message) < 600, statement
        assert not any(secret in message for secret in SECRETS), statement
    assert canary_frame.height == 1


def _refusal(connection: Connection, statement: str) -> str:
    try:
        connection.sql(statement, limit=50, timeout=20, memory=256 << 20)
    except SqlError as error:
        return str(error)
    pytest.fail(f"not refused: {statement[:300]!r}")


def test_there_are_enough_hostile_statements() -> None:
    assert len({statement for statements in FAMILIES.values() for statement in statements}) >= 800


READS = """
SELECT 1
SELECT 1;
select count(*) from trades -- with a comment at the end
/* first */ SELECT $$a; 'b'$$ AS x
WITH t AS (SELECT symbol, price FROM trades) SELECT symbol, max(price) FROM t GROUP BY symbol ORDER BY 1
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r
SELECT t.symbol, i.price_unit FROM series.trades AS t LEFT JOIN relational.instruments AS i USING (venue, symbol)
SELECT a.seq, b.price AS p FROM trades AS a ASOF JOIN trades AS b ON a.symbol = b.symbol AND a.ts >= b.ts LIMIT 3
SELECT seq, avg(price) OVER (PARTITION BY symbol ORDER BY seq ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM trades
SELECT row_number() OVER w FROM trades WINDOW w AS (PARTITION BY side ORDER BY ts) LIMIT 2
SELECT time_bucket(INTERVAL 1 MINUTE, ts::TIMESTAMP) AS m, arg_min(price, seq), max(price) FROM trades GROUP BY m
SELECT symbol, side, count(*) FROM trades GROUP BY GROUPING SETS ((symbol), (side)) HAVING count(*) > 1
SELECT * EXCLUDE (venue) REPLACE (price * 2 AS price) RENAME (qty AS q) FROM trades LIMIT 1
SELECT COLUMNS('pri|qty') + 1 FROM trades LIMIT 1
SELECT COLUMNS(lambda c: c LIKE 'p%') FROM trades LIMIT 1
SELECT quantile_cont(price, [0.5, 0.9]), list(seq), approx_count_distinct(side) FROM trades
SELECT CASE side WHEN 'buy' THEN 1 ELSE -1 END FROM trades LIMIT 1
SELECT price BETWEEN 1 AND 2, side LIKE 'b%', NOT true, side || 'x', price::VARCHAR FROM trades LIMIT 1
SELECT [1, 2][1], {'a': 1}.a, map {'a': 1}['a'], -1 AS n, INTERVAL 1 DAY AS d, (1, 'a') AS t
SELECT list_transform(range(3), lambda x: x * 2), [x + 1 for x in [1, 2] if x > 1] AS y
SELECT unnest(range(3)) AS x
SELECT extract(year FROM ts), ts + INTERVAL 1 HOUR, date_trunc('hour', ts) FROM trades LIMIT 1
SELECT exists(SELECT 1), 1 IN (SELECT 1), (SELECT max(price) FROM trades)
SELECT seq FROM trades QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY seq) = 1
SELECT 1 UNION SELECT 1 EXCEPT SELECT 2
SELECT DISTINCT ON (symbol) symbol, seq FROM trades ORDER BY symbol, seq DESC
FROM trades SELECT count(*)
FROM trades LIMIT 10 OFFSET 1
TABLE trades
VALUES (1, 'x'), (2, 'y')
PIVOT trades ON side IN ('buy', 'sell') USING sum(qty) GROUP BY symbol
UNPIVOT (SELECT price, qty FROM trades) ON price, qty INTO NAME n VALUE v
SELECT * FROM trades USING SAMPLE 10 ROWS
SELECT now(), today(), current_database(), version(), random(), uuid(), typeof(1)
SELECT json_extract_string('{"a": 1}', '$.a'), md5('a'), regexp_replace('ab', 'a', 'b'), format('{:>5}', 'x')
SELECT table_name FROM information_schema.tables
SELECT table_name, estimated_size FROM duckdb_tables()
SELECT relname FROM pg_catalog.pg_class LIMIT 1
SELECT name FROM pragma_table_info('series.trades')
SHOW DATABASES
SHOW TABLES
SHOW ALL TABLES
SHOW TABLES FROM relational
SHOW trades
SHOW search_path
SHOW TimeZone
DESCRIBE trades
DESCRIBE SELECT 1
SUMMARIZE trades
EXPLAIN SELECT count(*) FROM trades
EXPLAIN ANALYZE SELECT count(*) FROM trades
EXPLAIN (FORMAT json) SELECT 1
EXPLAIN (ANALYZE, FORMAT json) FROM trades
EXPLAIN (SELECT 1)
"""


@pytest.mark.parametrize("query", READS.strip().splitlines())
def test_a_query_that_reads_works(query: str, connection: Connection) -> None:
    assert connection.sql(query).width > 0


def test_parameters_are_values(connection: Connection) -> None:
    text = "x'; DROP TABLE series.trades; --"
    assert connection.sql("SELECT $a AS a, $b AS b", parameters={"a": text, "b": 3}).rows() == [(text, 3)]
    with pytest.raises(SqlError, match="object"):
        connection.sql("SELECT $a AS a", parameters={"a": object()})


def test_every_table_function_of_the_engine_is_refused_unless_it_is_listed() -> None:
    with duckdb.connect() as parser:
        kinds = "('table', 'table_macro', 'pragma')"
        found = parser.sql(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN {kinds}")
        names = {name for (name,) in found.fetchall()}
        assert len(names - TABLE_FUNCTIONS) > 100
        assert names >= TABLE_FUNCTIONS
        for name in names - TABLE_FUNCTIONS:
            with pytest.raises(SqlRefused, match=f"table function {name} is not let through"):
                admitted(parser, f'FROM "{name}"(1)')


def test_a_view_that_reads_files_is_refused_by_the_engine(warehouse: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    with duckdb.connect(str(store_file(warehouse))) as writer:
        writer.execute(f"CREATE VIEW leak AS FROM read_csv('{tmp_path}/secret.csv')")
        writer.execute("CREATE MACRO inserted() AS TABLE FROM read_blob('/etc/passwd')")
    try:
        for query in ("FROM leak", "FROM inserted()"):
            with pytest.raises(SqlError, match=r"disabled by configuration|not let through"):
                Connection(warehouse).sql(query)
    finally:
        with duckdb.connect(str(store_file(warehouse))) as writer:
            writer.execute("DROP VIEW leak; DROP MACRO TABLE inserted")
