"""Whatever writes or reaches beyond the stores is refused; whatever reads them works."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracebank.engines.clickhouse.functions import CATALOGUE_QUERY, TABLE_FUNCTIONS, FunctionCatalogue
from tracebank.engines.clickhouse.guard import admit
from tracebank.engines.clickhouse.reader import ServerReader
from tracebank.query.connection import Connection
from tracebank.query.contract import Limits
from tracebank.query.errors import SqlError, SqlRefused
from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank_schemas.catalogue import TABLES

WRITES = """
INSERT INTO series.trades SELECT * FROM series.trades
INSERT INTO series.trades (seq) VALUES (1)
INSERT INTO series.trades FROM INFILE '{folder}/secret.csv' FORMAT CSV
INSERT INTO FUNCTION file('{folder}/out.csv', 'CSV', 'x Int32') SELECT 1
INSERT INTO FUNCTION url('http://127.0.0.1:{port}/x', 'CSV', 'x Int32') SELECT 1
CREATE TABLE series.z (x Int32) ENGINE = Memory
CREATE TEMPORARY TABLE z (x Int32)
CREATE TABLE series.z ENGINE = File(CSV, '{folder}/out.csv') AS SELECT 1
CREATE VIEW series.z AS SELECT 1
CREATE OR REPLACE VIEW series.trades AS SELECT 1
CREATE MATERIALIZED VIEW series.z ENGINE = Memory AS SELECT 1
CREATE DATABASE z
CREATE DATABASE z ENGINE = SQLite('{folder}/z.db')
CREATE FUNCTION z AS (x) -> x + 1
CREATE DICTIONARY series.z (id UInt64) PRIMARY KEY id SOURCE(NULL()) LAYOUT(FLAT())
CREATE NAMED COLLECTION z AS url = 'x'
CREATE USER z
CREATE ROLE z
CREATE ROW POLICY z ON series.trades USING 1
DROP TABLE series.trades
DROP DATABASE series
DROP VIEW relational.instruments
DETACH TABLE series.trades
ATTACH TABLE series.z (x Int32) ENGINE = Memory
ALTER TABLE series.trades DELETE WHERE 1
ALTER TABLE series.trades ADD COLUMN y Int32
ALTER TABLE series.trades DROP PARTITION ID 'all'
DELETE FROM series.trades WHERE 1
UPDATE series.trades SET price = 1 WHERE 1
TRUNCATE TABLE series.trades
TRUNCATE DATABASE series
RENAME TABLE series.trades TO series.trades2
EXCHANGE TABLES series.trades AND series.quotes
UNDROP TABLE series.trades
OPTIMIZE TABLE series.trades FINAL
CHECK TABLE series.trades
SYSTEM FLUSH LOGS
SYSTEM STOP MERGES
SYSTEM SHUTDOWN
SYSTEM RELOAD CONFIG
KILL QUERY WHERE 1
KILL MUTATION WHERE 1
BACKUP TABLE series.trades TO File('{folder}/backup')
RESTORE TABLE series.trades AS series.z FROM File('{folder}/backup')
SET readonly = 0
SET max_threads = 1
SET ROLE ALL
USE system
GRANT ALL ON *.* TO default
REVOKE ALL ON *.* FROM default
EXECUTE AS default SELECT 1
BEGIN TRANSACTION
SELECT 1; DROP TABLE series.trades
SELECT 1; SELECT 2
/* SELECT 1 */ DROP TABLE series.trades
EXPLAIN INSERT INTO series.trades SELECT * FROM series.trades
EXPLAIN PIPELINE INSERT INTO series.trades SELECT * FROM series.trades
DROP TABLE series.quotes PARALLEL WITH DROP TABLE series.trades
"""

OUTFILES = """
SELECT 1 INTO OUTFILE '{folder}/out.csv'
select 1 into/**/outfile/**/'{folder}/out.csv' truncate format CSV
SELECT 1 INTO OUTFILE '{folder}/out.csv' APPEND
SELECT 1 INTO OUTFILE '{folder}/out.csv' AND STDOUT
SELECT 1 INTO OUTFILE '{folder}/out.csv.gz' COMPRESSION 'gzip'
(SELECT 1) INTO OUTFILE '{folder}/out.csv'
SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '{folder}/out.csv'
(SELECT 1 INTERSECT SELECT 1) INTO OUTFILE '{folder}/out.csv'
WITH 1 AS a SELECT a INTO OUTFILE '{folder}/out.csv'
FROM series.trades SELECT seq INTO OUTFILE '{folder}/out.csv'
SELECT * FROM (SELECT 1 INTO OUTFILE '{folder}/out.csv')
EXPLAIN SELECT 1 INTO OUTFILE '{folder}/out.csv'
EXPLAIN AST SELECT 1 INTO OUTFILE '{folder}/out.csv'
SHOW DATABASES INTO OUTFILE '{folder}/out.csv'
SHOW TABLES FROM series INTO OUTFILE '{folder}/out.csv'
SHOW COLUMNS FROM series.trades INTO OUTFILE '{folder}/out.csv'
SHOW CREATE TABLE series.trades INTO OUTFILE '{folder}/out.csv'
SHOW PROCESSLIST INTO OUTFILE '{folder}/out.csv'
SHOW FUNCTIONS INTO OUTFILE '{folder}/out.csv'
SHOW GRANTS INTO OUTFILE '{folder}/out.csv'
DESCRIBE series.trades INTO OUTFILE '{folder}/out.csv'
EXISTS TABLE series.trades INTO OUTFILE '{folder}/out.csv'
CHECK TABLE series.trades INTO OUTFILE '{folder}/out.csv'
"""

REACHES = """
SELECT * FROM file('{folder}/secret.csv')
SELECT * FROM file('/etc/passwd', 'LineAsString')
SELECT * FROM FILE('/etc/passwd', 'LineAsString')
SELECT file('/etc/passwd')
SELECT "file"('/etc/passwd')
SELECT (SELECT file('secret.csv'))
SELECT 1 WHERE file('secret.csv') LIKE '%a%'
SELECT arrayMap(x -> file(x), ['secret.csv'])
SELECT * APPLY(file) FROM values('a String', 'secret.csv')
SELECT * APPLY(x -> file(x)) FROM values('a String', 'secret.csv')
SELECT COLUMNS('a') APPLY file FROM values('a String', 'secret.csv')
SELECT * REPLACE(file(a) AS a) FROM values('a String', 'secret.csv')
SELECT * FROM values('a String', file('secret.csv'))
SELECT count() OVER (PARTITION BY file('secret.csv')) FROM numbers(1)
SELECT 1 AS a ORDER BY a WITH FILL INTERPOLATE (a AS file('secret.csv'))
SELECT number FROM numbers(3) LIMIT toUInt8(length(file('secret.csv')))
WITH RECURSIVE a AS (SELECT file('secret.csv')) SELECT * FROM a
SELECT countIf(file('secret.csv') != '') FROM numbers(1)
SELECT 1 GROUP BY file('secret.csv')
SELECT 1 QUALIFY file('secret.csv') != ''
SELECT 1 IN (SELECT file('secret.csv'))
SELECT 1 IN file('secret.csv')
SHOW TABLES FROM series WHERE file('secret.csv') != ''
SHOW COLUMNS FROM series.trades WHERE file('secret.csv') != ''
EXPLAIN SELECT file('secret.csv')
EXPLAIN SYNTAX SELECT file('secret.csv')
EXPLAIN QUERY TREE SELECT file('secret.csv')
EXPLAIN ANALYZE SELECT file('secret.csv')
DESCRIBE file('secret.csv')
DESCRIBE TABLE url('http://127.0.0.1:{port}/x.csv')
DESCRIBE (SELECT file('secret.csv'))
SELECT * FROM view(SELECT file('secret.csv'))
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))
SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('x Int32'))
SELECT * FROM (EXPLAIN SELECT 1)
SELECT * FROM eval('SELECT file(''secret.csv'')')
SELECT * FROM fuzzQuery('SELECT 1')
SELECT * FROM loop(file('secret.csv'))
SELECT * FROM loop(series.trades)
SELECT * FROM merge('default', '.*')
SELECT * FROM merge('series', 'trades')
SELECT * FROM default.`secret.csv`
SELECT * FROM default.`/etc/passwd`
SELECT * FROM 'secret.csv'
SELECT * FROM `secret.csv`
SELECT * FROM "{folder}/secret.csv"
SELECT * FROM default.`http://127.0.0.1:{port}/x.csv`
SELECT 1 IN default.`secret.csv`
SELECT * FROM {{d:Identifier}}.{{t:Identifier}}
SELECT 1 IN {{d:Identifier}}.`secret.csv`
EXISTS TABLE default.`secret.csv`
DESCRIBE default.`secret.csv`
SHOW CREATE TABLE default.`secret.csv`
SHOW COLUMNS FROM default.`secret.csv`
SELECT hasColumnInTable('default', 'secret.csv', 'password')
SELECT * FROM _relational.instruments
SELECT * FROM fileCluster('default', 'secret.csv', 'LineAsString')
SELECT * FROM filesystem('{folder}')
SELECT * FROM url('http://127.0.0.1:{port}/x', 'LineAsString')
SELECT * FROM urlCluster('default', 'http://127.0.0.1:{port}/x', 'LineAsString')
SELECT * FROM s3('http://127.0.0.1:{port}/bucket/x', 'LineAsString', 'x String')
SELECT * FROM gcs('http://127.0.0.1:{port}/bucket/x', 'LineAsString', 'x String')
SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/b/x', 'LineAsString', 'x String')
SELECT * FROM azureBlobStorage('BlobEndpoint=http://127.0.0.1:{port}/a', 'c', 'x', 'CSV', 'auto', 'x String')
SELECT * FROM iceberg('http://127.0.0.1:{port}/bucket/')
SELECT * FROM icebergLocal('{folder}')
SELECT * FROM deltaLake('http://127.0.0.1:{port}/bucket/')
SELECT * FROM deltaLakeLocal('{folder}')
SELECT * FROM hudi('http://127.0.0.1:{port}/bucket/')
SELECT * FROM paimonLocal('{folder}')
SELECT * FROM hive('thrift://127.0.0.1:{port}', 'd', 't', 'x String', 'x')
SELECT * FROM remote('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM remoteSecure('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM cluster('default', 'system', 'one')
SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')
SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')
SELECT * FROM sqlite('{folder}/x.db', 't')
SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'x Int32')
SELECT * FROM redis('127.0.0.1:{port}', 'k', 'k Int32, v Int32')
SELECT * FROM odbc('DSN=x', 'd', 't')
SELECT * FROM jdbc('jdbc:x', 'd', 't')
SELECT * FROM executable('x.sh', 'TSV', 'x Int32')
SELECT * FROM input('x Int32')
SELECT * FROM format('LineAsString', 'abc')
SELECT * FROM dictionary('series.d')
SELECT dictGet('series.d', 'v', 1)
SELECT joinGet('series.j', 'v', 1)
SELECT * FROM Python(warehouse)
SELECT * FROM python('warehouse')
SELECT * FROM arrowstream('x')
EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')
SELECT aiGenerate('x')
SELECT AIEmbed('x')
SELECT addressToLine(1::UInt64)
SELECT logTrace('x')
SELECT getServerSetting('path')
SELECT getMacro('x')
SELECT showCertificate()
SELECT getOSKernelVersion()
SELECT filesystemAvailable()
SELECT catboostEvaluate('/etc/passwd', 1)
SELECT naiveBayesClassifier('x', 'y')
SELECT regionToName(1::UInt32)
SELECT generateSerialID('x')
SELECT sleep(1)
SELECT 1 SETTINGS readonly = 0
SELECT 1 SETTINGS max_threads = 1
SELECT * FROM (SELECT 1 SETTINGS readonly = 0)
WITH a AS (SELECT 1 SETTINGS readonly = 0) SELECT * FROM a
SELECT * FROM view(SELECT 1 SETTINGS readonly = 0)
SELECT (SELECT 1 SETTINGS readonly = 0)
SELECT 1 FORMAT CSV
DESCRIBE series.trades FORMAT CSV
SHOW CREATE TABLE series.trades FORMAT CSV
"""


def _lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line]


@pytest.fixture(scope="module", autouse=True)
def _kept_open(warehouse: Settings) -> Iterator[None]:
    """The engine stays open between the attempts, which saves most of their time."""
    with open_series(warehouse).session():
        yield


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[str]]]:
    """A loopback port, and a list that grows with each connection to it."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer, address = server.accept()
                except OSError:
                    return
                seen.append(str(address))
                peer.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], seen


@pytest.mark.parametrize("attempt", _lines(WRITES + OUTFILES + REACHES))
def test_an_attempt_is_refused_in_one_line_and_leaves_no_trace(
    attempt: str, connection: Connection, watched_folder: Path, listener: tuple[int, list[str]]
) -> None:
    port, seen = listener
    before = len(seen)
    with pytest.raises(SqlError) as caught:
        connection.sql(attempt.format(folder=watched_folder, port=port))
    message = str(caught.value)
    assert "\n" not in message
    assert 10 < len(message) < 500
    assert "hunter2" not in message
    assert "root:" not in message
    assert len(seen) == before
    if attempt in WRITES + OUTFILES:
        assert isinstance(caught.value, SqlRefused) or "syntax error" in message


def test_after_all_attempts_everything_stands(connection: Connection) -> None:
    found = connection.sql(
        "SELECT symbol, count() AS n, sum(price) AS total FROM trades GROUP BY symbol ORDER BY symbol"
    )
    assert found.rows() == [("BTCUSDT", 50, 6225.0), ("ETHUSDT", 50, 6225.0)]
    assert connection.sql("SELECT count() AS n FROM relational.instruments")["n"].to_list() == [1]
    names = connection.sql("SHOW TABLES FROM series")["name"].to_list()
    assert names == sorted([*TABLES, "activations"])


@pytest.fixture(scope="module")
def reader(warehouse: Settings) -> Iterator[ServerReader]:
    """A bare reader: the engine's own refusals, without the check of the tree."""
    with open_series(warehouse).session() as client:
        yield ServerReader(client, client, "series", Limits(60, 1 << 30), None)


@pytest.mark.parametrize(
    "attempt",
    [
        "INSERT INTO series.trades SELECT * FROM series.trades",
        "CREATE TABLE series.z (x Int32) ENGINE = Memory",
        "DROP TABLE series.trades",
        "ALTER TABLE series.trades DELETE WHERE 1",
        "TRUNCATE TABLE series.trades",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM (SELECT * FROM file('/etc/passwd', 'LineAsString') SETTINGS readonly = 0)",
        "SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', 'LineAsString', 'x String')",
        "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
        "SELECT * FROM sqlite('/tmp/x.db', 't')",
        "SELECT * FROM default.`/etc/passwd`",
    ],
)
def test_the_engine_refuses_by_itself_too(attempt: str, reader: ServerReader) -> None:
    with pytest.raises(Exception, match=r"READONLY|readonly mode|UNKNOWN_TABLE|FUNCTION_NOT_ALLOWED"):
        reader.whole(attempt, {})


def test_every_table_function_of_the_engine_is_refused_unless_listed(reader: ServerReader) -> None:
    functions = FunctionCatalogue.of([tuple(row) for row in reader.ask(CATALOGUE_QUERY)])  # type: ignore[misc]
    names = [str(row[0]) for row in reader.ask("SELECT name FROM system.table_functions")]
    others = [name for name in names if name.lower() not in TABLE_FUNCTIONS]
    assert len(others) > 80
    for name in others:
        with pytest.raises(SqlError, match=r"table function|syntax error"):
            admit(f"SELECT * FROM `{name}`('x')", reader, functions)


def test_every_function_outside_the_listed_categories_is_refused(reader: ServerReader) -> None:
    functions = FunctionCatalogue.of([tuple(row) for row in reader.ask(CATALOGUE_QUERY)])  # type: ignore[misc]
    assert {"file", "hascolumnintable", "aigenerate", "dictget", "logtrace", "sleep"} <= functions.refused
    assert not functions.refused & functions.allowed
    for name in functions.refused:
        assert not functions.allows(name)
        assert not functions.allows(name.upper())
    for name in ("fileIf", "nosuch", "nosuchIf", "State"):
        assert not functions.allows(name)
    for name in ("sumIf", "uniqMerge", "quantileTDigestOrNullIf", "countDistinct", "SUM", "toStartOfMinute", "if"):
        assert functions.allows(name)


READS = """
SELECT 1
SELECT 1;
select count(*) from trades -- with a comment at the end
WITH t AS (SELECT symbol, price FROM trades) SELECT symbol, max(price) FROM t GROUP BY symbol ORDER BY 1
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r
SELECT t.symbol, i.price_unit FROM series.trades AS t JOIN relational.instruments AS i USING (venue, symbol) LIMIT 3
SELECT a.seq, b.price FROM trades AS a ASOF JOIN trades AS b ON a.symbol = b.symbol AND a.ts >= b.ts LIMIT 3
SELECT seq, avg(price) OVER (PARTITION BY symbol ORDER BY seq ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM trades
SELECT row_number() OVER w FROM trades WINDOW w AS (PARTITION BY side ORDER BY ts) LIMIT 2
SELECT toStartOfMinute(ts) AS minute, argMin(price, seq), max(price), sumIf(qty, price > 3) FROM trades GROUP BY minute
SELECT symbol, side, count() FROM trades GROUP BY GROUPING SETS ((symbol), (side)) HAVING count() > 1
SELECT symbol, grouping(symbol) FROM trades GROUP BY ROLLUP(symbol)
SELECT * EXCEPT (venue) REPLACE (price * 2 AS price) APPLY (toString) FROM trades LIMIT 1
SELECT COLUMNS('pri|qty') APPLY (x -> x + 1) FROM trades LIMIT 1
SELECT quantiles(0.5, 0.9)(price), groupArray(3)(seq), uniqExact(side), topK(2)(side) FROM trades
SELECT CASE side WHEN 'buy' THEN 1 ELSE -1 END, CASE WHEN price > 110 THEN 'a' END FROM trades LIMIT 1
SELECT price BETWEEN 1 AND 2, side LIKE 'b%', side NOT ILIKE 'B%', NOT 1, side || 'x', price::String FROM trades LIMIT 1
SELECT [1, 2][1], (1, 2).1, map('a', 1)['a'], -1, INTERVAL 1 DAY, tuple(1, 'a'), {{x:Int32}}
SELECT extract(YEAR FROM ts), ts + INTERVAL 1 HOUR, date_trunc('hour', ts), trim(BOTH 'a' FROM side) FROM trades LIMIT 1
SELECT exists(SELECT 1), 1 IN (1, 2), 1 IN (SELECT 1), (SELECT max(price) FROM trades)
SELECT x FROM (SELECT [1, 2] AS x) ARRAY JOIN x
SELECT arrayJoin(arrayMap(x -> x * 2, range(3))), arraySum(x -> x, [1, 2])
SELECT number FROM numbers(3) ORDER BY number WITH FILL TO 10 STEP 2
SELECT seq FROM trades ORDER BY seq LIMIT 1 BY symbol
SELECT seq FROM trades ORDER BY seq LIMIT 2 OFFSET 1
SELECT seq FROM trades QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY seq) = 1
SELECT 1 UNION DISTINCT SELECT 1 EXCEPT SELECT 2
SELECT 1 INTERSECT SELECT 1
FROM trades SELECT count()
SELECT * FROM VALUES('a Int32, b String', (1, 'x'), (2, 'y'))
SELECT * FROM generateRandom('a Int8, b String', 1) LIMIT 2
SELECT * FROM view(SELECT 1 AS a)
SELECT count() FROM trades PREWHERE side = 'buy'
SELECT count(DISTINCT side), count(*) FILTER (WHERE side = 'buy'), any(price) IGNORE NULLS FROM trades
SELECT JSONExtractInt('{{"a": 1}}', 'a'), cityHash64('a'), replaceRegexpAll('ab', 'a', 'b'), formatReadableSize(1000)
SELECT now(), today(), currentDatabase(), version(), rand(), generateUUIDv4()
SELECT * FROM system.databases
SELECT name, total_rows FROM system.tables WHERE database = 'series'
SELECT * FROM system.columns WHERE database = 'series' LIMIT 3
SELECT * FROM system.parts LIMIT 1
SELECT * FROM information_schema.tables LIMIT 1
SHOW DATABASES
SHOW TABLES
SHOW TABLES FROM relational LIKE 'i%'
SHOW COLUMNS FROM trades
SHOW CREATE TABLE series.trades
SHOW CREATE VIEW relational.instruments
SHOW FUNCTIONS LIKE 'sum'
SHOW SETTINGS LIKE 'readonly'
SHOW PROCESSLIST
SHOW INDEXES FROM trades
DESCRIBE trades
DESC relational.instruments
EXISTS TABLE series.trades
EXPLAIN SELECT count() FROM trades
EXPLAIN AST SELECT 1
EXPLAIN SYNTAX SELECT 1
EXPLAIN QUERY TREE SELECT 1
EXPLAIN PIPELINE SELECT 1
EXPLAIN ESTIMATE SELECT * FROM trades
EXPLAIN indexes = 1 SELECT * FROM trades WHERE symbol = 'BTCUSDT'
"""


@pytest.mark.parametrize("query", _lines(READS))
def test_a_query_that_reads_works(query: str, connection: Connection) -> None:
    found = connection.sql(query.replace("{{", "{").replace("}}", "}"), parameters={"x": 3})
    assert found.width > 0


def test_a_table_over_an_arrow_file_that_the_platform_made_is_read(warehouse: Settings, tmp_path: Path) -> None:
    with open_series(warehouse).session() as client:
        client.command(f"CREATE TABLE series.captures (x Int32) ENGINE = File(Arrow, '{tmp_path}/captures.arrow')")
        try:
            client.command("INSERT INTO series.captures VALUES (7)")
            assert Connection(warehouse).sql("SELECT x FROM captures")["x"].to_list() == [7]
        finally:
            client.command("DROP TABLE series.captures SYNC")


def test_a_view_that_reaches_files_is_refused_by_the_engine(warehouse: Settings) -> None:
    with open_series(warehouse).session() as client:
        client.command("CREATE VIEW series.leak AS SELECT * FROM file('/etc/passwd', 'LineAsString')")
        try:
            with pytest.raises(SqlRefused, match="readonly"):
                Connection(warehouse).sql("SELECT * FROM leak")
        finally:
            client.command("DROP VIEW series.leak SYNC")
