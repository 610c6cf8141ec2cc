-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(price) AS high FROM bench_trades WHERE time < ${end}
GROUP BY 1 ORDER BY 1 DESC LIMIT 5
