SELECT minute_of_day, avg(volume / day_volume) AS share
FROM (
    SELECT
        toHour(ts) * 60 + toMinute(ts) AS minute_of_day,
        sum(qty) AS volume,
        sum(volume) OVER (PARTITION BY symbol, toDate32(ts)) AS day_volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, toDate32(ts), minute_of_day
)
GROUP BY minute_of_day
