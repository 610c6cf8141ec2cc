SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, last(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol
