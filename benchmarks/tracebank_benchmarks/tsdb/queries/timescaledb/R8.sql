SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last((bid_price_0 + ask_price_0) / 2, seq) AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol
