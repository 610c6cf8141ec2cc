SELECT symbol, arg_max(ts, seq) AS ts, max(seq) AS seq, arg_max(price, seq) AS price
FROM bench_trades
GROUP BY symbol
