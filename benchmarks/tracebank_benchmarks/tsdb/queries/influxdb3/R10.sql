-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- As-of by carrying forward: moments stand among the rows, after those of their own time; the levels are fetched last.
WITH asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq FROM bench_book
  WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL FROM moments
), found AS (
  SELECT at AS moment, later, last_value(seq) IGNORE NULLS
    OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS seq
  FROM ordered
)
SELECT bench_book.symbol, found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4,
    bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4,
    bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM bench_book JOIN found ON bench_book.seq = found.seq WHERE found.later = 1
