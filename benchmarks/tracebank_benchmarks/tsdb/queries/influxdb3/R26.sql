-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(price) AS high FROM bench_trades WHERE time < ${end}
GROUP BY 1 ORDER BY 1 DESC LIMIT 5
