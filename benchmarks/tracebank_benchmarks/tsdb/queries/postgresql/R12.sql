SELECT DISTINCT ON (symbol) symbol, ts_ns AS ts, seq, price
FROM bench_trades
ORDER BY symbol DESC, bench_trades.ts DESC, seq DESC
