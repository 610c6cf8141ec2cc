-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH minutes AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(qty) AS volume
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
)
SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume FROM minutes
