-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, count(*) AS n, avg(price) AS mean, stddev_samp(price) AS deviation,
  min(price) AS low, max(price) AS high
FROM bench_trades WHERE venue = ${venue} AND time >= ${start} AND time < ${end} GROUP BY 1, 2
