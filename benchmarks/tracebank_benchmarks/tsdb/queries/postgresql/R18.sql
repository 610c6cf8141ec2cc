SELECT minute_of_day, avg(volume / day_volume) AS share
FROM (
    SELECT
        minute_of_day,
        volume,
        sum(volume) OVER (PARTITION BY symbol, day) AS day_volume
    FROM (
        SELECT
            symbol,
            date_trunc('day', ts) AS day,
            (extract(hour FROM ts) * 60 + extract(minute FROM ts))::bigint AS minute_of_day,
            sum(qty) AS volume
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, day, minute_of_day
    ) AS minutes
) AS shares
GROUP BY minute_of_day
