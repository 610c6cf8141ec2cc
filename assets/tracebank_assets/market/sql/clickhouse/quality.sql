-- Rows at fault in one partition, by venue and check: (venue, check_name, value, checked).
-- Time is compared between rows of one clock only: a source may stamp some rows with its own and some with ours.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    fromUnixTimestamp64Nano({first:Int64}, 'UTC') AS first_ts,
    fromUnixTimestamp64Nano({after:Int64}, 'UTC') AS after_ts,
    day_trades AS (
        SELECT CAST(venue AS String) AS venue, ts, seq, price,
            lagInFrame(ts, 1, ts) OVER (PARTITION BY venue, clock ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
                AS before
        FROM trades
        WHERE symbol = {symbol:String} AND ts >= first_ts AND ts < after_ts
    ),
    day_book AS (
        SELECT CAST(venue AS String) AS venue, ts, seq, state, bid_price_0, ask_price_0,
            lagInFrame(ts, 1, ts) OVER (PARTITION BY venue, clock ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
                AS before
        FROM book
        WHERE symbol = {symbol:String} AND ts >= first_ts AND ts < after_ts
    ),
    moments AS (
        SELECT venue, avg(price) AS mean, stddevSamp(price) AS deviation FROM day_trades GROUP BY venue
    )
SELECT venue, 'crossed_books' AS check_name, toFloat64(countIf(state = 'whole' AND bid_price_0 >= ask_price_0)) AS value,
    toInt64(count()) AS checked
FROM day_book GROUP BY venue
UNION ALL
SELECT venue, 'time_going_back', toFloat64(sum(back)), toInt64(sum(n))
FROM (
    SELECT venue, countIf(ts < before) AS back, count() AS n FROM day_trades GROUP BY venue
    UNION ALL
    SELECT venue, countIf(ts < before), count() FROM day_book GROUP BY venue
)
GROUP BY venue
UNION ALL
SELECT venue, 'missing_trades', toFloat64(max(seq) - min(seq) + 1 - uniqExact(seq)), toInt64(count())
FROM day_trades GROUP BY venue
UNION ALL
SELECT venue, 'price_outliers', toFloat64(countIf(abs(price - mean) > 10 * deviation)), toInt64(count())
FROM day_trades INNER JOIN moments USING (venue) GROUP BY venue
