SELECT t.symbol AS symbol, argMax(t.ts, t.seq) AS ts, max(t.seq) AS seq, argMax(t.price, t.seq) AS price
FROM bench_trades AS t
GROUP BY t.symbol
