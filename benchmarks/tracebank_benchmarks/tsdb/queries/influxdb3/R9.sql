-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT seq, ts, price, qty FROM bench_trades
WHERE symbol = ${symbol} AND price > ${price} AND time >= ${start} AND time < ${end}
