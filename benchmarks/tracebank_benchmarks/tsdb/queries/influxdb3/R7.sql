-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value(price ORDER BY seq) AS v
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns WHERE log_return IS NOT NULL GROUP BY symbol
