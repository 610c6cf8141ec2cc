-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- As-of by carrying forward: moments stand among the rows, after those of their own time.
WITH asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq, price, CAST(NULL AS DOUBLE) AS bid, CAST(NULL AS DOUBLE) AS ask
  FROM bench_trades WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT CAST(symbol AS VARCHAR), ts, 0, seq, NULL, bid_price_0, ask_price_0
  FROM bench_book WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL, NULL, NULL, NULL FROM moments
), carried AS (
  SELECT symbol, at AS moment, later,
    last_value(price) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS price,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT symbol, moment, price, bid, ask FROM carried WHERE later = 1
