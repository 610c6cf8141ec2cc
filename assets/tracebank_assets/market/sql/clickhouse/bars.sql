-- One-minute bars of one partition: trades by exchange order (ts, seq), with the mean spread of the minute's quotes.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    fromUnixTimestamp64Nano({first:Int64}, 'UTC') AS first_ts,
    fromUnixTimestamp64Nano({after:Int64}, 'UTC') AS after_ts,
    spreads AS (
        SELECT venue, toStartOfInterval(ts, INTERVAL 1 MINUTE) AS minute, avg(ask_price - bid_price) AS mean_spread
        FROM quotes
        WHERE symbol = {symbol:String} AND ts >= first_ts AND ts < after_ts
        GROUP BY venue, minute
    ),
    minutes AS (
        SELECT
            venue,
            symbol,
            toStartOfInterval(ts, INTERVAL 1 MINUTE) AS minute,
            argMin(price, (ts, seq)) AS open,
            max(price) AS high,
            min(price) AS low,
            argMax(price, (ts, seq)) AS close,
            sum(qty) AS volume,
            sum(price * qty) / sum(qty) AS vwap,
            toInt64(count()) AS trades
        FROM trades
        WHERE symbol = {symbol:String} AND ts >= first_ts AND ts < after_ts
        GROUP BY venue, symbol, minute
    )
SELECT
    toDateTime64(minutes.minute, 9, 'UTC') AS ts,
    CAST(minutes.venue AS String) AS venue,
    CAST(minutes.symbol AS String) AS symbol,
    open, high, low, close, volume, vwap, trades, mean_spread
FROM minutes
LEFT JOIN spreads ON spreads.venue = minutes.venue AND spreads.minute = minutes.minute
ORDER BY venue, symbol, ts
SETTINGS join_use_nulls = 1
