SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM (
    SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
) AS mids
