SELECT
    symbol,
    time_bucket('1 minute', ts) AS minute,
    count(*) AS n,
    avg(price) AS mean,
    stddev_samp(price) AS deviation,
    min(price) AS low,
    max(price) AS high
FROM bench_trades
WHERE venue = ${venue} AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
