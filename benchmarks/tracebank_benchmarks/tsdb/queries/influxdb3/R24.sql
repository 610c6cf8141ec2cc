-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT seq, symbol, price, qty FROM bench_trades WHERE qty > ${qty} AND time >= ${start} AND time < ${end}
