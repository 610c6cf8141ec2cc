SELECT
    symbol,
    time_bucket('1 minute', ts) AS minute,
    first(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    last(price, seq) AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
