SELECT seq, ts_ns AS ts, price, qty
FROM bench_trades
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end} AND price > ${price}
