SELECT
    symbol,
    toStartOfMinute(ts) AS minute,
    argMin(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, seq) AS close,
    sum(qty) AS volume,
    count() AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
