"""Statements that try to write, or to reach what a query may not, in PostgreSQL's SQL: families, made by combination.

`{folder}` is a folder that the server's user may write, `{pid}` and `{mate}` are sessions of owner and reader.
"""

from __future__ import annotations

_CALLS = """
lo_creat(-1)
lo_create(424242)
lo_from_bytea(0, 'x')
lo_import('{folder}/secret.csv')
lo_export((SELECT oid FROM pg_largeobject_metadata LIMIT 1), '{folder}/out')
lo_put((SELECT oid FROM pg_largeobject_metadata LIMIT 1), 0, 'changed')
lo_unlink((SELECT oid FROM pg_largeobject_metadata LIMIT 1))
lo_open((SELECT oid FROM pg_largeobject_metadata LIMIT 1), 131072)
lowrite(0, 'x')
pg_read_file('{folder}/secret.csv')
pg_read_binary_file('{folder}/secret.csv')
pg_read_file('postgresql.conf')
pg_stat_file('{folder}/secret.csv')
pg_ls_dir('{folder}')
pg_ls_logdir()
pg_ls_waldir()
pg_current_logfile()
pg_terminate_backend({pid})
pg_terminate_backend({mate})
pg_cancel_backend({mate})
pg_reload_conf()
pg_rotate_logfile()
pg_switch_wal()
pg_create_restore_point('x')
pg_logical_emit_message(true, 'x', 'y')
pg_logical_emit_message(false, 'x', 'y'::bytea)
pg_notify('canary', 'x')
pg_advisory_lock(7)
pg_advisory_lock_shared(7)
pg_try_advisory_lock(7)
pg_try_advisory_xact_lock(7)
pg_create_physical_replication_slot('x')
pg_create_logical_replication_slot('x', 'test_decoding')
pg_drop_replication_slot('x')
pg_replication_origin_create('x')
pg_export_snapshot()
pg_stat_reset()
pg_stat_reset_shared('bgwriter')
pg_log_backend_memory_contexts({pid})
pg_import_system_collations('pg_catalog')
pg_promote()
pg_file_write('{folder}/out', 'x', false)
set_config('role', 'tracebank', false)
set_config('session_authorization', 'tracebank', false)
set_config('default_transaction_read_only', 'off', false)
set_config('transaction_read_only', 'off', true)
set_config('statement_timeout', '0', false)
set_config('log_statement', 'none', false)
nextval('public.canary_seq')
setval('public.canary_seq', 999)
public.canary_writes()
query_to_xml('DELETE FROM series.trades', true, true, '')
query_to_xml('SELECT set' || '_config(''role'', ''tracebank'', false)', true, true, '')
query_to_xml('SELECT pg_read' || '_file(''{folder}/secret.csv'')', true, true, '')
query_to_xmlschema('DROP TABLE series.trades', true, true, '')
query_to_xml_and_xmlschema('INSERT INTO public.canary VALUES (2)', true, true, '')
table_to_xml('public.canary', true, true, '')
schema_to_xml('public', true, true, '')
database_to_xml(true, true, '')
cursor_to_xml('c', 1, true, true, '')
(SELECT count(*) FROM ts_stat('select set' || '_config(''role'', ''tracebank'', false)::tsvector'))
(SELECT count(*) FROM ts_stat('delete from public.canary returning ''a''::tsvector'))
(SELECT count(*) FROM ts_stat('select pg_read' || '_file(''{folder}/secret.csv'')::tsvector'))
ts_rewrite('a'::tsquery, 'delete from public.canary returning ''a''::tsquery, ''b''::tsquery')
(SELECT string_agg(rolpassword, '') FROM pg_authid)
(SELECT string_agg(passwd, '') FROM pg_shadow)
(SELECT string_agg(line_number::text, '') FROM pg_hba_file_rules)
(SELECT string_agg(setting, '') FROM pg_file_settings)
(SELECT count(*) FROM pg_largeobject)
(SELECT count(*) FROM pg_statistic)
(SELECT string_agg(umoptions::text, '') FROM pg_user_mapping)
(SELECT string_agg(secret, '') FROM public.canary)
(SELECT count(*) FROM public.instruments)
(SELECT count(*) FROM series_parts.stage)
dblink('dbname=postgres', 'SELECT 1')
"""

_FRAMES = """
SELECT {call}
SELECT * FROM (SELECT {call}) AS a
WITH a AS MATERIALIZED (SELECT {call}) SELECT * FROM a
SELECT 1 WHERE ({call})::text <> ''
SELECT 1 ORDER BY ({call})::text
VALUES (({call})::text)
EXPLAIN ANALYZE SELECT {call}
EXPLAIN (ANALYZE, VERBOSE, FORMAT json) SELECT {call}
SELECT/**/{call}--
"""

_STATEMENTS = """
INSERT INTO public.canary VALUES (2)
INSERT INTO series.trades SELECT * FROM series.trades
UPDATE public.canary SET n = 5
DELETE FROM public.canary
DELETE FROM series.trades
TRUNCATE public.canary
MERGE INTO public.canary USING (SELECT 1 AS n) AS s ON true WHEN MATCHED THEN DELETE
CREATE TABLE public.z (n int)
CREATE TABLE series.z AS SELECT 1 AS n
CREATE TEMP TABLE z (n int)
CREATE UNLOGGED TABLE z (n int)
CREATE VIEW public.z AS SELECT 1
CREATE OR REPLACE VIEW relational.instruments AS SELECT 1
CREATE MATERIALIZED VIEW public.z AS SELECT 1
CREATE SCHEMA z
CREATE ROLE z SUPERUSER
CREATE DATABASE z
CREATE EXTENSION dblink
CREATE EXTENSION file_fdw
CREATE FUNCTION public.z() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE FUNCTION pg_temp.z() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE SEQUENCE public.z
CREATE TABLESPACE z LOCATION '{folder}'
CREATE PUBLICATION z FOR ALL TABLES
CREATE SUBSCRIPTION z CONNECTION 'dbname=postgres' PUBLICATION z
CREATE SERVER z FOREIGN DATA WRAPPER z
CREATE EVENT TRIGGER z ON ddl_command_start EXECUTE FUNCTION public.canary_writes()
ALTER TABLE series.trades ADD COLUMN z int
ALTER TABLE series.trades DETACH PARTITION series_parts.z
ALTER ROLE CURRENT_USER SUPERUSER
ALTER ROLE CURRENT_USER PASSWORD 'x'
ALTER ROLE CURRENT_USER SET statement_timeout = 0
ALTER SYSTEM SET work_mem = '1GB'
ALTER DATABASE CURRENT SET work_mem = '1GB'
DROP TABLE public.canary
DROP SCHEMA series CASCADE
DROP OWNED BY CURRENT_USER CASCADE
REASSIGN OWNED BY CURRENT_USER TO CURRENT_USER
GRANT ALL ON public.canary TO PUBLIC
REVOKE ALL ON series.trades FROM PUBLIC
COMMENT ON TABLE public.canary IS 'x'
SECURITY LABEL ON TABLE public.canary IS 'x'
COPY public.canary TO '{folder}/out'
COPY public.canary FROM '{folder}/secret.csv'
COPY (SELECT 1) TO '{folder}/out'
COPY (SELECT 1) TO PROGRAM 'touch {folder}/out'
COPY public.canary FROM PROGRAM 'cat {folder}/secret.csv'
COPY (SELECT 1) TO STDOUT
COPY public.canary FROM STDIN
DO $$BEGIN DELETE FROM public.canary; END$$
DO LANGUAGE plpgsql 'BEGIN PERFORM pg_sleep(0); END'
CALL public.canary_calls()
SET ROLE tracebank
SET SESSION AUTHORIZATION tracebank
SET default_transaction_read_only = off
SET statement_timeout = 0
RESET ALL
RESET ROLE
DISCARD ALL
BEGIN READ WRITE
START TRANSACTION READ WRITE
SET TRANSACTION READ WRITE
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
COMMIT
ROLLBACK
SAVEPOINT z
PREPARE TRANSACTION 'z'
PREPARE z AS DELETE FROM public.canary
EXECUTE z
DEALLOCATE ALL
DECLARE z CURSOR WITH HOLD FOR SELECT 1
FETCH ALL FROM z
LISTEN canary
NOTIFY canary, 'x'
UNLISTEN *
LOCK TABLE series.trades IN ACCESS EXCLUSIVE MODE
VACUUM series.trades
ANALYZE series.trades
CLUSTER
REINDEX SCHEMA series
REFRESH MATERIALIZED VIEW public.z
CHECKPOINT
LOAD 'plpgsql'
IMPORT FOREIGN SCHEMA public FROM SERVER z INTO public
SELECT 1 AS n INTO public.z
SELECT 1 AS n INTO TEMP z
SELECT n FROM public.canary FOR UPDATE
SELECT seq FROM series.trades FOR UPDATE
SELECT seq FROM series.trades FOR SHARE NOWAIT
TABLE series.trades FOR NO KEY UPDATE
WITH a AS (DELETE FROM series.trades RETURNING 1) SELECT * FROM a
WITH a AS (INSERT INTO public.canary VALUES (3) RETURNING n) SELECT * FROM a
WITH a AS (UPDATE public.canary SET n = 3 RETURNING n) TABLE a
WITH a AS (SELECT 1 AS n) INSERT INTO public.canary SELECT n FROM a
SELECT 1) TO STDOUT; DELETE FROM public.canary; --
SELECT 1) AS a(c0)) TO PROGRAM 'touch {folder}/out' --
SELECT 1) AS answer(c0)) TO '{folder}/out' /*
"""

_DRESSES = (
    "{statement}",
    "EXPLAIN ANALYZE {statement}",
    "EXPLAIN (ANALYZE, COSTS off) {statement}",
    "SELECT 1; {statement}",
    "/* SELECT 1 */ {statement} -- end",
)

_CLEVER = """
SELECT U&"set\\005fconfig"('role', 'tracebank', false)
SELECT U&"lo\\005fcreat"(-1)
SELECT "lo_creat"(-1)
SELECT pg_catalog."lo_creat"(-1)
SELECT pg_catalog . lo_creat ( -1 )
SELECT LO_CREAT(-1)
SELECT E'\\x6c6f' || lo_creat(-1)::text
SELECT $a$;$a$ || lo_creat(-1)::text
SELECT * FROM lo_creat(-1)
SELECT * FROM ROWS FROM (lo_creat(-1), generate_series(1, 2))
SELECT * FROM generate_series(1, 3) AS g, LATERAL lo_create(g)
SELECT CASE WHEN random() < 2 THEN lo_creat(-1) END
SELECT coalesce(NULL, lo_creat(-1))
SELECT array_agg(lo_creat(-1)) FROM generate_series(1, 3)
SELECT sum(lo_creat(-1)::bigint) OVER () FROM generate_series(1, 3)
SELECT count(*) FILTER (WHERE lo_creat(-1) > 0::oid)
SELECT x FROM json_to_recordset('[{{"x": 1}}]') AS r(x int) WHERE lo_creat(-1) > 0::oid
SELECT 1 LIMIT (SELECT lo_creat(-1)::bigint)
SELECT 1 GROUP BY lo_creat(-1)
SELECT 1 HAVING lo_creat(-1) > 0::oid
SELECT seq FROM series.trades TABLESAMPLE bernoulli (lo_creat(-1)::int)
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + lo_creat(-1)::bigint::int FROM r WHERE n < 3) SELECT * FROM r
SELECT (SELECT lo_creat(-1)) UNION ALL SELECT 1::oid
SELECT 1::oid IN (SELECT lo_creat(-1))
SELECT EXISTS (SELECT lo_creat(-1))
SELECT row(lo_creat(-1), 1)
SELECT format('%s', lo_creat(-1))
SELECT ('lo_creat'::regproc)::text
SELECT oid FROM pg_proc WHERE proname = 'lo_creat' AND has_function_privilege(oid, 'EXECUTE')
SELECT public.canary_definer()
SELECT inet_server_addr()::text, current_setting('data_directory')
SELECT current_setting('hba_file')
SELECT txid_current()
SELECT setseed(0.5)
SELECT pg_sleep(0)
SELECT lastval()
SELECT currval('public.canary_seq')
SELECT * FROM pg_stat_activity
SELECT * FROM pg_settings
SELECT * FROM pg_stats
SELECT * FROM pg_locks
SHOW ALL
SHOW data_directory
SHOW config_file
EXPLAIN ANALYZE EXECUTE z
EXPLAIN ANALYZE DECLARE z CURSOR FOR SELECT 1
EXPLAIN ANALYZE CREATE TABLE public.z AS SELECT 1 AS n
EXPLAIN ANALYZE CREATE MATERIALIZED VIEW public.z AS SELECT 1 AS n
EXPLAIN ANALYZE SELECT 1 AS n INTO public.z
EXPLAIN ANALYZE REFRESH MATERIALIZED VIEW public.z
(((SELECT lo_creat(-1))))
((DELETE FROM public.canary))
;;DELETE FROM public.canary
SELECT 1;;DELETE FROM public.canary;;
SELECT 1;-- \nDELETE FROM public.canary
SELECT '1'';DELETE FROM public.canary;--'
SELECT $$1$$;DELETE FROM public.canary
\\! touch {folder}/out
\\copy public.canary to '{folder}/out'
SELECT /* /* */ 1; DELETE FROM public.canary; */ 1
"""


def _lines(block: str) -> list[str]:
    return [line.replace("\\n", "\n") for line in block.splitlines() if line]


FAMILIES: dict[str, list[str]] = {
    **{frame: [frame.replace("{call}", call) for call in _lines(_CALLS)] for frame in _lines(_FRAMES)},
    **{dress: [dress.replace("{statement}", statement) for statement in _lines(_STATEMENTS)] for dress in _DRESSES},
    "clever": _lines(_CLEVER),
}
"""Statements by family."""

HONEST = """
SELECT 'lo_fi' AS x
SELECT 'set_config(1)' AS x, 'pg_read_file' AS y
SELECT count(*) AS lo_count FROM series.trades
SELECT symbol, max(price) AS p FROM trades GROUP BY symbol ORDER BY symbol;
SELECT count(*) FROM relational.instruments -- how many
WITH a AS (SELECT seq FROM trades) SELECT sum(seq) FROM a ;
TABLE relational.instruments
VALUES (1, 'a'), (2, 'b')
(SELECT 1 AS a) UNION ALL (SELECT 2)
SELECT $$a;b$$ AS x
SELECT query_to_xml('SELECT 1 AS a', true, true, '')::text AS x
SELECT word, ndoc FROM ts_stat('SELECT to_tsvector(''a b'')') ORDER BY word
SHOW work_mem
SHOW ALL;
EXPLAIN SELECT count(*) FROM trades
EXPLAIN (ANALYZE, FORMAT json) SELECT count(*) FROM trades
SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'series'
SELECT now() AS a, random() AS b, gen_random_uuid() AS c, version() AS d
"""

assert sum(map(len, FAMILIES.values())) >= 500
