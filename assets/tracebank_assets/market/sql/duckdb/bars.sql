-- One-minute bars of one partition: trades by exchange order (ts, seq), with the mean spread of the minute's quotes.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    spreads AS (
        SELECT venue, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, avg(ask_price - bid_price) AS mean_spread
        FROM quotes
        WHERE symbol = $symbol AND ts >= make_timestamp_ns($first) AND ts < make_timestamp_ns($after)
        GROUP BY ALL
    ),
    minutes AS (
        SELECT
            venue,
            symbol,
            time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
            first(price ORDER BY ts, seq) AS open,
            max(price) AS high,
            min(price) AS low,
            last(price ORDER BY ts, seq) AS close,
            sum(qty) AS volume,
            sum(price * qty) / sum(qty) AS vwap,
            count(*)::BIGINT AS trades
        FROM trades
        WHERE symbol = $symbol AND ts >= make_timestamp_ns($first) AND ts < make_timestamp_ns($after)
        GROUP BY ALL
    )
SELECT
    minutes.minute::TIMESTAMP_NS AS ts,
    minutes.venue,
    minutes.symbol,
    open, high, low, close, volume, vwap, trades, mean_spread
FROM minutes
LEFT JOIN spreads ON spreads.venue = minutes.venue AND spreads.minute = minutes.minute
ORDER BY minutes.venue, minutes.symbol, ts
