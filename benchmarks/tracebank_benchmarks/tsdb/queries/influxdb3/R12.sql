-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, last_value(ts ORDER BY seq) AS ts, max(seq) AS seq, last_value(price ORDER BY seq) AS price
FROM bench_trades GROUP BY symbol
