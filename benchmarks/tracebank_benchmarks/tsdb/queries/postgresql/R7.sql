SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, date_bin('5 minutes', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, (array_agg(price ORDER BY seq DESC))[1] AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol
