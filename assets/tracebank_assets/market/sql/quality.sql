-- Rows at fault in one partition, by venue and check: (venue, check_name, value, checked).
-- Time is compared between rows of one clock only: a source may stamp some rows with its own and some with ours.
-- Trade ids of Bybit and of OKX ("okex" too) do not run on: a hole in them says nothing.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    day_trades AS (
        SELECT venue, seq, price, ts < lag(ts, 1, ts) OVER (PARTITION BY venue, clock ORDER BY seq) AS goes_back
        FROM trades
        WHERE symbol = {symbol:String}
            AND ts >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND ts < fromUnixTimestamp64Nano({after:Int64}, 'UTC')
    ),
    day_book AS (
        SELECT venue, state = 'whole' AND bid_price_0 >= ask_price_0 AS crossed,
            ts < lag(ts, 1, ts) OVER (PARTITION BY venue, clock ORDER BY seq) AS goes_back
        FROM book
        WHERE symbol = {symbol:String}
            AND ts >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND ts < fromUnixTimestamp64Nano({after:Int64}, 'UTC')
    ),
    moments AS (
        SELECT venue, avg(price) AS mean, stddev_samp(price) AS deviation FROM day_trades GROUP BY venue
    ),
    day_rows AS (
        SELECT venue, goes_back FROM day_trades
        UNION ALL
        SELECT venue, goes_back FROM day_book
    )
SELECT venue, 'crossed_books' AS check_name, CAST(count(*) FILTER (WHERE crossed) AS Int64) AS value,
    CAST(count(*) AS Int64) AS checked
FROM day_book GROUP BY venue
UNION ALL
SELECT venue, 'time_going_back', CAST(count(*) FILTER (WHERE goes_back) AS Int64), CAST(count(*) AS Int64)
FROM day_rows GROUP BY venue
UNION ALL
SELECT venue, 'missing_trades', CAST(max(seq) - min(seq) + 1 - count(DISTINCT seq) AS Int64), CAST(count(*) AS Int64)
FROM day_trades
WHERE NOT startsWith(venue, 'bybit') AND NOT startsWith(venue, 'okx') AND NOT startsWith(venue, 'okex')
GROUP BY venue
UNION ALL
SELECT venue, 'price_outliers', CAST(count(*) FILTER (WHERE abs(price - mean) > 10 * deviation) AS Int64),
    CAST(count(*) AS Int64)
FROM day_trades INNER JOIN moments USING (venue) GROUP BY venue
