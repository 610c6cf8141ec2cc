WITH minutes AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
shares AS (
    SELECT
        60 * extract(hour FROM minute) + extract(minute FROM minute) AS minute_of_day,
        volume / sum(volume) OVER (PARTITION BY symbol, date_trunc('day', minute)) AS share
    FROM minutes
)
SELECT minute_of_day, avg(share) AS share
FROM shares
GROUP BY minute_of_day
