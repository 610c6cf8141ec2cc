-- Rows at fault in one partition, by venue and check: (venue, check_name, value, checked).
-- Time is compared between rows of one clock only: a source may stamp some rows with its own and some with ours.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    day_trades AS (
        SELECT venue, ts_ns, seq, price, lag(ts_ns, 1, ts_ns) OVER (PARTITION BY venue, clock ORDER BY seq) AS before
        FROM trades
        WHERE symbol = %(symbol)s AND ts >= to_timestamp(%(first)s / 1000000000) AND ts < to_timestamp(%(after)s / 1000000000)
    ),
    day_book AS (
        SELECT venue, ts_ns, seq, state, bid_price_0, ask_price_0,
            lag(ts_ns, 1, ts_ns) OVER (PARTITION BY venue, clock ORDER BY seq) AS before
        FROM book
        WHERE symbol = %(symbol)s AND ts >= to_timestamp(%(first)s / 1000000000) AND ts < to_timestamp(%(after)s / 1000000000)
    ),
    moments AS (
        SELECT venue, avg(price) AS mean, stddev_samp(price) AS deviation FROM day_trades GROUP BY venue
    ),
    backwards AS (
        SELECT venue, count(*) FILTER (WHERE ts_ns < before) AS back, count(*) AS n FROM day_trades GROUP BY venue
        UNION ALL
        SELECT venue, count(*) FILTER (WHERE ts_ns < before), count(*) FROM day_book GROUP BY venue
    )
SELECT venue, 'crossed_books' AS check_name,
    (count(*) FILTER (WHERE state = 'whole' AND bid_price_0 >= ask_price_0))::double precision AS value, count(*)::bigint AS checked
FROM day_book GROUP BY venue
UNION ALL
SELECT venue, 'time_going_back', sum(back)::double precision, sum(n)::bigint
FROM backwards GROUP BY venue
UNION ALL
SELECT venue, 'missing_trades', (max(seq) - min(seq) + 1 - count(DISTINCT seq))::double precision, count(*)::bigint
FROM day_trades GROUP BY venue
UNION ALL
SELECT venue, 'price_outliers', (count(*) FILTER (WHERE abs(price - mean) > 10 * deviation))::double precision, count(*)::bigint
FROM day_trades INNER JOIN moments USING (venue) GROUP BY venue
