-- One-minute bars of one partition: trades by exchange order (ts, seq), with the mean spread of the minute's quotes.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    spreads AS (
        SELECT venue, date_trunc('minute', ts) AS minute, avg(ask_price - bid_price) AS mean_spread
        FROM quotes
        WHERE symbol = %(symbol)s AND ts >= to_timestamp(%(first)s / 1000000000) AND ts < to_timestamp(%(after)s / 1000000000)
        GROUP BY 1, 2
    ),
    minutes AS (
        SELECT
            venue,
            symbol,
            date_trunc('minute', ts) AS minute,
            (array_agg(price ORDER BY ts_ns, seq))[1] AS open,
            max(price) AS high,
            min(price) AS low,
            (array_agg(price ORDER BY ts_ns DESC, seq DESC))[1] AS close,
            sum(qty) AS volume,
            sum(price * qty) / sum(qty) AS vwap,
            count(*)::bigint AS trades
        FROM trades
        WHERE symbol = %(symbol)s AND ts >= to_timestamp(%(first)s / 1000000000) AND ts < to_timestamp(%(after)s / 1000000000)
        GROUP BY 1, 2, 3
    )
SELECT
    minutes.minute AS ts,
    minutes.venue,
    minutes.symbol,
    open, high, low, close, volume, vwap, trades, mean_spread
FROM minutes
LEFT JOIN spreads ON spreads.venue = minutes.venue AND spreads.minute = minutes.minute
ORDER BY minutes.venue, minutes.symbol, ts
