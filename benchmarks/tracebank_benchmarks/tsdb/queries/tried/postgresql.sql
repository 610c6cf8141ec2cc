-- R5: running largest array
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask
FROM (
    SELECT
        quotes.seq,
        (max(ARRAY[quotes.seq, bid]) FILTER (WHERE quotes.venue = venues.venue) OVER sofar)[2] AS bid,
        (max(ARRAY[quotes.seq, ask]) FILTER (WHERE quotes.venue = venues.venue) OVER sofar)[2] AS ask
    FROM (
        SELECT seq, venue, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
    ) AS quotes
    CROSS JOIN (
        SELECT DISTINCT venue FROM bench_book WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
    ) AS venues
    WINDOW sofar AS (PARTITION BY venues.venue ORDER BY quotes.seq ROWS UNBOUNDED PRECEDING)
) AS carried
GROUP BY seq

-- R5: latest of every venue by join
WITH
    quotes AS MATERIALIZED (
        SELECT seq, venue, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
    ),
    latest AS (
        SELECT quotes.seq, max(quotes.seq) FILTER (WHERE quotes.venue = venues.venue) OVER sofar AS of_venue
        FROM quotes
        CROSS JOIN (SELECT DISTINCT venue FROM quotes) AS venues
        WINDOW sofar AS (PARTITION BY venues.venue ORDER BY quotes.seq ROWS UNBOUNDED PRECEDING)
    )
SELECT latest.seq, max(quotes.bid) AS best_bid, min(quotes.ask) AS best_ask
FROM latest
JOIN quotes ON quotes.seq = latest.of_venue
GROUP BY latest.seq

-- R6: array_agg in order
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM (
    SELECT symbol, date_bin('5 minutes', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, (array_agg((bid_price_0 + ask_price_0) / 2 ORDER BY seq DESC))[1] AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
) AS mids

-- R7: array_agg in order
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, date_bin('5 minutes', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, (array_agg(price ORDER BY seq DESC))[1] AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8: array_agg in order
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, date_bin('5 minutes', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, (array_agg((bid_price_0 + ask_price_0) / 2 ORDER BY seq DESC))[1] AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R11: array_agg in order
SELECT
    symbol,
    date_trunc('minute', ts) AS minute,
    (array_agg(price ORDER BY seq))[1] AS open,
    max(price) AS high,
    min(price) AS low,
    (array_agg(price ORDER BY seq DESC))[1] AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R11: ends by look-up
SELECT bars.symbol, minute, opening.price AS open, high, low, closing.price AS close, volume, n
FROM (
    SELECT symbol, time_bucket('1 minute', ts) AS minute, max(price) AS high, min(price) AS low, sum(qty) AS volume, count(*) AS n,
        min(ts) AS first_ts, max(ts) AS last_ts
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, minute
) AS bars
CROSS JOIN LATERAL (SELECT t.price FROM bench_trades AS t WHERE t.symbol = bars.symbol AND t.ts = first_ts ORDER BY t.seq LIMIT 1) AS opening
CROSS JOIN LATERAL (SELECT t.price FROM bench_trades AS t WHERE t.symbol = bars.symbol AND t.ts = last_ts ORDER BY t.seq DESC LIMIT 1) AS closing

-- R12: DISTINCT ON
SELECT DISTINCT ON (symbol) symbol, ts_ns AS ts, seq, price
FROM bench_trades
ORDER BY symbol DESC, bench_trades.ts DESC, seq DESC

-- R14: one order of both, in groups
-- No as-of join: trades and quotes in one order, trades in a group with the quote that they follow.
WITH
    events AS (
        SELECT symbol, ts_ns, 0 AS kind, seq, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        UNION ALL
        SELECT symbol, ts_ns, 1, seq, NULL, NULL, NULL
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    ),
    counted AS (
        SELECT
            *,
            count(book_seq) OVER (
                PARTITION BY symbol ORDER BY ts_ns, kind, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS quote
        FROM events
    ),
    matched AS (
        SELECT
            kind,
            seq,
            max(book_seq) OVER same AS book_seq,
            max(bid) OVER same AS bid,
            max(ask) OVER same AS ask
        FROM counted
        WINDOW same AS (PARTITION BY symbol, quote)
    )
SELECT seq, book_seq, bid, ask
FROM matched
WHERE kind = 1

-- R14: running largest, then join
WITH
    quotes AS (
        SELECT symbol, ts_ns, seq, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    ),
    events AS (
        SELECT symbol, ts_ns, seq AS book_seq, NULL::bigint AS seq FROM quotes
        UNION ALL
        SELECT symbol, ts_ns, NULL, seq
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    ),
    matched AS (
        SELECT seq, max(book_seq) OVER (PARTITION BY symbol ORDER BY ts_ns) AS book_seq
        FROM events
    )
SELECT matched.seq, quotes.seq AS book_seq, quotes.bid, quotes.ask
FROM matched
LEFT JOIN quotes ON quotes.seq = matched.book_seq
WHERE matched.seq IS NOT NULL

-- R17: a window each, by bitmap and sort
-- Later trades are summed in order until the first that reaches the multiple, and no further.
SELECT asked.seq, multiples.multiple, hit.ts_ns AS reached, hit.vwap
FROM bench_trades AS asked
CROSS JOIN (VALUES (2::bigint), (4), (20)) AS multiples (multiple)
LEFT JOIN LATERAL (
    SELECT running.ts_ns, running.paid / running.traded AS vwap
    FROM (
        SELECT later.ts, later.ts_ns, later.seq, sum(later.qty) OVER sofar AS traded, sum(later.price * later.qty) OVER sofar AS paid
        FROM bench_trades AS later
        WHERE later.symbol = asked.symbol AND later.ts >= asked.ts AND later.seq > asked.seq AND later.ts < ${end}
        WINDOW sofar AS (ORDER BY later.ts, later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ) AS running
    WHERE running.traded >= multiples.multiple * asked.qty
    ORDER BY running.ts, running.seq
    LIMIT 1
) AS hit ON true
WHERE asked.seq IN (${seqs})

-- R17: running sums
WITH asked AS MATERIALIZED (
    SELECT symbol, ts, seq, qty FROM bench_trades WHERE seq IN (${seqs})
),
running AS MATERIALIZED (
    SELECT symbol, seq, ts_ns, sum(qty) OVER sofar AS traded, sum(price * qty) OVER sofar AS paid
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM asked) AND ts >= (SELECT min(ts) FROM asked) AND ts < ${end}
    WINDOW sofar AS (PARTITION BY symbol ORDER BY ts, seq ROWS UNBOUNDED PRECEDING)
)
SELECT asked.seq, multiples.multiple, hit.ts_ns AS reached, (hit.paid - origin.paid) / (hit.traded - origin.traded) AS vwap
FROM asked
JOIN running AS origin ON origin.seq = asked.seq
CROSS JOIN (VALUES (2::bigint), (4), (20)) AS multiples (multiple)
LEFT JOIN LATERAL (
    SELECT running.ts_ns, running.traded, running.paid
    FROM running
    WHERE running.symbol = asked.symbol AND running.seq > asked.seq AND running.traded - origin.traded >= multiples.multiple * asked.qty
    ORDER BY running.seq LIMIT 1
) AS hit ON true

-- R18: extract and date_trunc
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

-- R18: by date_bin
SELECT minute_of_day, avg(volume / day_volume) AS share
FROM (
    SELECT
        (extract(hour FROM minute) * 60 + extract(minute FROM minute))::bigint AS minute_of_day,
        volume,
        sum(volume) OVER (PARTITION BY symbol, date_trunc('day', minute)) AS day_volume
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, sum(qty) AS volume
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS minutes
) AS shares
GROUP BY minute_of_day

-- R22: array_agg in order
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, date_trunc('minute', ts) AS minute, (array_agg(price ORDER BY seq DESC))[1] AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R23: array_agg in order
WITH returns AS (
    SELECT symbol, minute, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, date_trunc('minute', ts) AS minute, (array_agg(price ORDER BY seq DESC))[1] AS price
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

-- R26: all minutes, then five
SELECT date_trunc('minute', ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end}
GROUP BY minute
ORDER BY minute DESC
LIMIT 5

-- R27: count(DISTINCT)
SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue

-- R11: covering index
-- with: CREATE INDEX covering ON bench_trades (symbol, ts, seq) INCLUDE (price, qty)
-- with: VACUUM (ANALYZE) bench_trades
-- without: DROP INDEX covering

-- R18: covering index
-- with: CREATE INDEX covering ON bench_trades (symbol, ts, seq) INCLUDE (qty, ts_ns)
-- with: VACUUM (ANALYZE) bench_trades
-- without: DROP INDEX covering

-- R27: covering index
-- with: CREATE INDEX covering ON bench_trades (symbol, ts, seq) INCLUDE (venue, price, qty)
-- with: VACUUM (ANALYZE) bench_trades
-- without: DROP INDEX covering

-- R3: covering index
-- with: CREATE INDEX covering ON bench_book (symbol, ts, seq) INCLUDE (bid_price_0)
-- with: VACUUM (ANALYZE) bench_book
-- without: DROP INDEX covering

-- R5: covering index
-- with: CREATE INDEX covering ON bench_book (symbol, ts, seq) INCLUDE (venue, bid_price_0, ask_price_0)
-- with: VACUUM (ANALYZE) bench_book
-- without: DROP INDEX covering

-- R14: covering index
-- with: CREATE INDEX covering ON bench_book (symbol, ts, seq) INCLUDE (ts_ns, bid_price_0, ask_price_0)
-- with: VACUUM (ANALYZE) bench_book
-- without: DROP INDEX covering

-- R17: btree on seq for the asked trades
-- with: CREATE INDEX by_seq ON bench_trades (seq)
-- without: DROP INDEX by_seq
