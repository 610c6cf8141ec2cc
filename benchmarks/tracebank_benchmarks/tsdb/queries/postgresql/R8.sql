SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, date_bin('5 minutes', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, (array_agg((bid_price_0 + ask_price_0) / 2 ORDER BY seq DESC))[1] AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol
