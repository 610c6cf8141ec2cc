-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count(*) AS n
FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
