-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, first_value(price ORDER BY seq) AS open, max(price) AS high, min(price) AS low,
  last_value(price ORDER BY seq) AS close, sum(qty) AS volume, count(*) AS n
FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
