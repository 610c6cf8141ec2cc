SELECT
    symbol,
    date_trunc('minute', ts) AS minute,
    (array_agg(price ORDER BY seq))[1] AS open,
    max(price) AS high,
    min(price) AS low,
    (array_agg(price ORDER BY seq DESC))[1] AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
