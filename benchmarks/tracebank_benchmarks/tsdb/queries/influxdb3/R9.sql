-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT seq, ts, price, qty FROM bench_trades
WHERE symbol = ${symbol} AND price > ${price} AND time >= ${start} AND time < ${end}
