-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, date_bin(INTERVAL '1 hour', time) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book WHERE time >= ${start} AND time < ${end} GROUP BY 1, 2
