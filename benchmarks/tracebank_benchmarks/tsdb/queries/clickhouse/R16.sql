SELECT
    symbol,
    toStartOfMinute(ts) AS minute,
    count() AS n,
    avg(price) AS mean,
    if(n > 1, stddevSampStable(price), NULL) AS deviation,
    min(price) AS low,
    max(price) AS high
FROM bench_trades
WHERE venue = ${venue} AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
