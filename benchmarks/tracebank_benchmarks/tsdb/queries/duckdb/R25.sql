SELECT symbol, time_bucket(INTERVAL 1 HOUR, ts) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book
WHERE ts >= ${start} AND ts < ${end}
GROUP BY symbol, hour
