-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT symbol, last_value(ts ORDER BY seq) AS ts, max(seq) AS seq, last_value(price ORDER BY seq) AS price
FROM bench_trades GROUP BY symbol
