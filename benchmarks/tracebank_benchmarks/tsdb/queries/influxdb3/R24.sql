-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT seq, symbol, price, qty FROM bench_trades WHERE qty > ${qty} AND time >= ${start} AND time < ${end}
