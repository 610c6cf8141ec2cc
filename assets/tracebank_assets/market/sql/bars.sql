-- One-minute bars of one partition: trades by exchange order (ts, seq), with the mean spread of the minute's quotes.
-- Parameters: symbol, first and after (nanoseconds since 1970, UTC).
WITH
    spreads AS (
        -- Nullable, so that a minute without quotes has no spread instead of zero.
        SELECT venue, date_trunc('minute', ts) AS minute, CAST(avg(ask_price - bid_price) AS Nullable(Float64)) AS mean_spread
        FROM quotes
        WHERE symbol = {symbol:String}
            AND ts >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND ts < fromUnixTimestamp64Nano({after:Int64}, 'UTC')
        GROUP BY venue, minute
    ),
    minutes AS (
        SELECT
            venue,
            symbol,
            date_trunc('minute', ts) AS minute,
            argMin(price, (ts, seq)) AS open,
            max(price) AS high,
            min(price) AS low,
            argMax(price, (ts, seq)) AS close,
            sum(qty) AS volume,
            sum(price * qty) / sum(qty) AS vwap,
            count(*) AS trades
        FROM trades
        WHERE symbol = {symbol:String}
            AND ts >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND ts < fromUnixTimestamp64Nano({after:Int64}, 'UTC')
        GROUP BY venue, symbol, minute
    )
SELECT
    minutes.minute AS ts,
    minutes.venue AS venue,
    minutes.symbol AS symbol,
    open, high, low, close, volume, vwap, trades, mean_spread, 60 AS interval_s
FROM minutes
LEFT JOIN spreads ON spreads.venue = minutes.venue AND spreads.minute = minutes.minute
ORDER BY minutes.venue, minutes.minute
