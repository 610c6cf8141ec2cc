SELECT seq, symbol, price, qty
FROM bench_trades
WHERE ts >= ${start} AND ts < ${end} AND qty > ${qty}
