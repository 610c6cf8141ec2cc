SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS deviation, count() AS n
FROM (
    SELECT
        symbol,
        if(row_number() OVER earlier = 1, NULL, log(price / lagInFrame(price) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, toStartOfMinute(ts) AS minute, argMax(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol
