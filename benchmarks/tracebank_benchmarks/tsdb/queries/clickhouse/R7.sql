SELECT symbol, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS volatility, count() AS n
FROM (
    SELECT
        symbol,
        if(row_number() OVER earlier = 1, NULL, log(price / lagInFrame(price) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS bucket, argMax(price, seq) AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol
