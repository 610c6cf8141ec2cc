SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last(price, seq) AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol
