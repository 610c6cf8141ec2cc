"""Statements that would write, or reach beyond the stores, in DuckDB's SQL: each kind in many places."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

WRITES = """
INSERT INTO series.trades SELECT * FROM series.trades
INSERT INTO trades BY NAME SELECT 1 AS seq
INSERT OR REPLACE INTO trades SELECT * FROM trades
UPDATE series.trades SET price = 1
DELETE FROM series.trades
DELETE FROM trades USING relational.instruments WHERE true
TRUNCATE series.trades
MERGE INTO trades USING (SELECT 1 AS a) AS s ON true WHEN MATCHED THEN DELETE
CREATE TABLE series.z AS SELECT 1 AS a
CREATE OR REPLACE TABLE series.trades AS SELECT 1 AS a
CREATE TEMP TABLE z AS SELECT 1 AS a
CREATE VIEW series.z AS SELECT 1 AS a
CREATE TEMP MACRO z() AS 1
CREATE MACRO series.z(a) AS TABLE SELECT a
CREATE TYPE z AS ENUM ('a')
CREATE SEQUENCE z
CREATE SCHEMA series.z
CREATE INDEX z ON series.trades (seq)
CREATE SECRET z (TYPE s3, KEY_ID 'a', SECRET 'b')
CREATE PERSISTENT SECRET z (TYPE s3, KEY_ID 'a', SECRET 'b')
DROP TABLE series.trades
DROP SCHEMA series.main CASCADE
ALTER TABLE series.trades ADD COLUMN z INT
ALTER TABLE series.trades RENAME TO z
COMMENT ON TABLE series.trades IS 'z'
COPY (SELECT 1) TO '@folder@/out.csv'
COPY (SELECT 1) TO '@store@'
COPY (SELECT 1) TO '@store@' (FORMAT parquet, USE_TMP_FILE false)
COPY (SELECT 1) TO '@store@.wal' (FORMAT csv, USE_TMP_FILE false)
COPY (SELECT 1) TO '@home@/temporary/out.csv'
COPY (SELECT 1 AS a) TO '@folder@/parts' (FORMAT parquet, PARTITION_BY (a))
COPY trades TO '/dev/stdout'
COPY trades FROM '@folder@/secret.csv'
COPY FROM DATABASE series TO relational
EXPORT DATABASE '@folder@/export'
IMPORT DATABASE '@folder@/export'
ATTACH '@folder@/z.duckdb'
ATTACH '@store@' AS z
ATTACH ':memory:' AS z
DETACH series
USE relational
INSTALL httpfs
INSTALL httpfs FROM 'http://127.0.0.1:@port@'
LOAD '@folder@/z.duckdb_extension'
FORCE INSTALL httpfs
UPDATE EXTENSIONS
CHECKPOINT
FORCE CHECKPOINT series
VACUUM
ANALYZE
BEGIN
COMMIT
ROLLBACK
SET enable_external_access = true
SET GLOBAL temp_directory = '@folder@'
SET allowed_directories = ['@folder@']
SET memory_limit = '1TB'
SET lock_configuration = false
SET VARIABLE z = 1
RESET enable_external_access
RESET ALL
PRAGMA enable_profiling
PRAGMA profiling_output = '@folder@/out.json'
PRAGMA enable_external_access = true
PRAGMA import_database('@folder@')
PRAGMA force_checkpoint
CALL pragma_version()
CALL enable_logging('QueryLog', storage = 'file', storage_config = {'path': '@folder@/logs'})
CALL truncate_duckdb_logs()
PREPARE z AS SELECT 1
EXECUTE z
DEALLOCATE z
PIVOT trades ON side USING sum(qty)
CREATE TABLE series.z AS PIVOT trades ON side USING sum(qty)
""".strip().splitlines()

AROUND = (
    "{0}",
    "explain {0}",
    "EXPLAIN ANALYZE {0}",
    "EXPLAIN (ANALYZE, FORMAT json) {0}",
    "/* SELECT 1 */ {0} -- SELECT 1",
    "SELECT 1; {0}",
    "{0}; SELECT 1",
    "WITH z AS ({0}) SELECT * FROM z",
    "PREPARE z AS {0}",
)

PATHS = ("@folder@/secret.csv", "/etc/passwd", "http://127.0.0.1:@port@/x.csv", "@store@", "secret.csv")
_READERS = """
read_text read_blob read_csv read_csv_auto sniff_csv read_json read_json_objects read_ndjson read_parquet parquet_scan
parquet_metadata parquet_schema parquet_file_metadata parquet_kv_metadata read_duckdb glob seq_scan read_single_csv_file
"""
TABLES_OF = (
    "FROM {0}",
    "SELECT (SELECT count(*) FROM {0})",
    "WITH z AS MATERIALIZED (SELECT * FROM {0}) SELECT * FROM z",
    "EXPLAIN ANALYZE SELECT * FROM {0}",
    "DESCRIBE SELECT * FROM {0}",
    "SELECT * FROM trades, LATERAL (SELECT * FROM {0})",
)
FILES_AS_TABLES = (
    "FROM '{0}'",
    'SELECT * FROM "{0}"',
    'TABLE "{0}"',
    "DESCRIBE '{0}'",
    "SUMMARIZE '{0}'",
    "PIVOT '{0}' ON a IN (1) USING count(*)",
    "UNPIVOT '{0}' ON a INTO NAME n VALUE v",
    "SELECT 1 IN (FROM '{0}')",
)
OTHER_TABLES = """
query('SELECT 1')
query('COPY (SELECT 1) TO ''@folder@/out.csv''')
query_table('trades')
query_table(['@folder@/secret.csv'])
json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
duckdb_settings()
duckdb_secrets()
duckdb_databases()
duckdb_logs()
duckdb_extensions()
duckdb_temporary_files()
duckdb_prepared_statements()
duckdb_variables()
duckdb_external_file_cache()
pragma_database_list
pragma_database_size()
duckdb_databases
pg_catalog.pg_settings
pg_settings
duckdb_logs
which_secret('s3://x', 's3')
copy_database('series', 'relational')
checkpoint()
force_checkpoint()
import_database('@folder@')
enable_logging('QueryLog')
enable_profiling()
truncate_duckdb_logs()
pandas_scan(1)
python_arrow_scan(1, 2, 3)
arrow_scan(1, 2, 3)
python_map_function(1)
add_parquet_key('z', '0123456789112345')
register_external_resource('z')
histogram('trades', 'price')
canary_frame
postgres_scan('host=127.0.0.1 port=@port@', 'public', 'z')
sqlite_scan('@home@/relational.db', 'instruments')
iceberg_scan('@folder@')
delta_scan('@folder@')
""".strip().splitlines()

SCALARS = """
getenv('TRACEBANK_CANARY')
"getenv"('TRACEBANK_CANARY')
GETENV('TRACEBANK_CANARY')
'TRACEBANK_CANARY'.getenv()
current_setting('temp_directory')
current_setting('allowed_paths')
system.main.current_setting('secret_directory')
getvariable('z')
nextval('z')
write_log('z')
sleep_ms(5000)
pg_sleep(5)
json_serialize_plan('SELECT 1')
setseed(0.5)
current_query()
""".strip().splitlines()
PLACES = (
    "SELECT {0}",
    "SELECT 1 WHERE {0} IS NOT NULL",
    "SELECT * FROM trades ORDER BY {0}",
    "SELECT list_transform([1], lambda x: {0})",
    "SELECT [{0} for x in [1]]",
    "SELECT max({0}) OVER () FROM trades",
    "SELECT count(*) FROM trades GROUP BY {0}",
    "SELECT 1 QUALIFY max({0}) OVER () IS NULL",
    "VALUES ({0})",
    "SELECT * REPLACE ({0} AS side) FROM trades",
    "FROM trades SELECT DISTINCT ON ({0}) *",
    "SELECT {{'a': {0}}}",
    "SELECT 1 LIMIT {0}",
    "FROM range({0})",
    "SELECT COLUMNS(lambda c: {0} = c) FROM trades",
    "SELECT CASE WHEN true THEN {0} END",
    "EXPLAIN ANALYZE SELECT {0}",
    "SUMMARIZE SELECT {0}",
)
_SETTINGS = """
temp_directory secret_directory allowed_paths allowed_directories home_directory http_proxy_password username
log_query_path profile_output extension_directories file_search_path duckdb_api
"""
BROKEN = (
    "",
    ";;",
    "-- SELECT 1",
    "SELECT '",
    'SELECT "',
    "SELECT $$",
    "SELECT $a$ $b$",
    "/* SELECT 1",
    "SELECT 1 /*",
    "\0",
    "SELECT '\0'\0",
    "SELECT '\ud800'",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "[" * 900 + "]" * 900,
    "SELECT " + " + ".join("1" for _ in range(5000)),
    "SELECT * FROM " + "(SELECT * FROM " * 900 + "trades" + ")" * 900,
    "SELECT $1, $a",
    "SELECT ?",
    "SELECT $nosuch",
    "SELECT * FROM trades AT (VERSION => 1)",
    "EXPLAIN EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE EXPLAIN ANALYZE COPY (SELECT 1) TO '@store@'",
    "EXPLAIN (SELECT 1) COPY (SELECT 1) TO '@store@'",
    "DESCRIBE COPY (SELECT 1) TO '@store@'",
    "SUMMARIZE INSERT INTO trades SELECT * FROM trades",
    "FROM (INSERT INTO trades SELECT * FROM trades RETURNING *)",
    "SELECT (WITH z AS (DELETE FROM trades RETURNING *) SELECT count(*) FROM z)",
    "SELECT 1 INTO OUTFILE '@folder@/out.csv'",
    "SELECT * INTO z FROM trades",
    "SELECT 1 FORMAT CSV",
)


def families() -> Iterator[tuple[str, list[str]]]:
    """Name of each family, and its statements, with @folder@, @home@, @store@ and @port@ to fill in."""
    yield (
        "writes",
        [place.format(one) for at, one in enumerate(WRITES) for place in (*AROUND[:3], *AROUND[3 + at % 6 :][:2])],
    )
    sources = [f"{reader}('{path}')" for reader, path in product(_READERS.split(), PATHS)]
    yield "readers", [TABLES_OF[at % len(TABLES_OF)].format(source) for at, source in enumerate(sources)]
    yield "files as tables", [place.format(path) for place, path in product(FILES_AS_TABLES, PATHS)]
    yield "other tables", [place.format(one) for place, one in product(TABLES_OF[:2], OTHER_TABLES)]
    yield "scalars", [place.format(scalar) for place, scalar in product(PLACES, SCALARS)]
    yield "settings", [f"SHOW {name}" for name in _SETTINGS.split()]
    yield "broken", list(BROKEN)
