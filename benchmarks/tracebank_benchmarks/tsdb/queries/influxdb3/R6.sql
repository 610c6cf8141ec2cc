-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, bucket, v AS mid, log_return FROM returns
