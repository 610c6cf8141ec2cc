-- R6
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM (
    SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
) AS mids

-- R7
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last(price, seq) AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, last((bid_price_0 + ask_price_0) / 2, seq) AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R11
SELECT
    symbol,
    time_bucket('1 minute', ts) AS minute,
    first(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    last(price, seq) AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R12
-- Segments are of a symbol and a venue: the latest row of each is at the end of its newest chunk.
SELECT DISTINCT ON (streams.symbol) streams.symbol, latest.ts, latest.seq, latest.price
FROM (SELECT DISTINCT symbol, venue FROM bench_trades) AS streams
CROSS JOIN LATERAL (
    SELECT ts_ns AS ts, seq, price
    FROM bench_trades
    WHERE bench_trades.symbol = streams.symbol AND bench_trades.venue = streams.venue
    ORDER BY bench_trades.ts DESC, seq DESC
    LIMIT 1
) AS latest
ORDER BY streams.symbol, latest.seq DESC

-- R22
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, last(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R23
WITH returns AS (
    SELECT symbol, minute, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, last(price, seq) AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
)
SELECT one.symbol AS a, other.symbol AS b, corr(one.log_return, other.log_return) AS correlation, count(*) AS n
FROM returns AS one
JOIN returns AS other ON one.minute = other.minute AND one.symbol < other.symbol
WHERE one.log_return IS NOT NULL AND other.log_return IS NOT NULL
GROUP BY a, b
HAVING
    count(*) > 1
    AND min(one.log_return) < max(one.log_return)
    AND min(other.log_return) < max(other.log_return)
