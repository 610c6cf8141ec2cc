-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS bucket, last_value(price ORDER BY seq) AS v
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT l.symbol AS a, r.symbol AS b, corr(l.log_return, r.log_return) AS correlation, count(*) AS n
FROM returns AS l JOIN returns AS r ON l.bucket = r.bucket AND l.symbol < r.symbol
WHERE l.log_return IS NOT NULL AND r.log_return IS NOT NULL
GROUP BY l.symbol, r.symbol
HAVING count(*) >= 2 AND min(l.log_return) < max(l.log_return) AND min(r.log_return) < max(r.log_return)
