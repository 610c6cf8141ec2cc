-- R1
SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume
FROM (
    SELECT symbol, time_bucket('1 minute', ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, minute
) AS minutes

-- R2
SELECT
    symbol, time_bucket('1 minute', ts) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R3
SELECT symbol, max(bid_price_0) AS highest_bid
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R4
SELECT
    symbol,
    avg(ask_price_0 - bid_price_0) AS spread,
    1e4::float8 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R5
-- No IGNORE NULLS: a quote and the rows after it up to the venue's next one have one count of quotes.
WITH
    quotes AS (
        SELECT seq, ts_ns, venue, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
    ),
    counted AS (
        SELECT
            quotes.seq,
            venues.venue,
            CASE WHEN quotes.venue = venues.venue THEN quotes.bid END AS bid,
            CASE WHEN quotes.venue = venues.venue THEN quotes.ask END AS ask,
            count(*) FILTER (WHERE quotes.venue = venues.venue) OVER (
                PARTITION BY venues.venue ORDER BY quotes.ts_ns, quotes.seq
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS quote
        FROM quotes
        CROSS JOIN (SELECT DISTINCT venue FROM quotes) AS venues
    ),
    carried AS (
        SELECT
            seq,
            max(bid) OVER (PARTITION BY venue, quote) AS bid,
            max(ask) OVER (PARTITION BY venue, quote) AS ask
        FROM counted
        WHERE quote > 0
    )
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask
FROM carried
GROUP BY seq

-- R6
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM (
    SELECT symbol, time_bucket('5 minutes', ts) AS bucket, (max(ARRAY[seq, (bid_price_0 + ask_price_0) / 2]))[2] AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
) AS mids

-- R6, idiomatic
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM unnest(ARRAY[${symbols}]::text[]) AS symbols (symbol)
CROSS JOIN generate_series(
    time_bucket('5 minutes', ${start}), ${end} - INTERVAL '1 microsecond', '5 minutes'
) AS bucket
CROSS JOIN LATERAL (
    SELECT (b.bid_price_0 + b.ask_price_0) / 2 AS mid
    FROM bench_book AS b
    WHERE b.symbol = symbols.symbol AND b.ts >= greatest(bucket, ${start}) AND b.ts < least(bucket + INTERVAL '5 minutes', ${end})
    ORDER BY b.ts DESC, b.seq DESC
    LIMIT 1
) AS closes

-- R7
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, (max(ARRAY[seq, price]))[2] AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R7, idiomatic
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM unnest(ARRAY[${symbols}]::text[]) AS symbols (symbol)
    CROSS JOIN generate_series(
        time_bucket('5 minutes', ${start}), ${end} - INTERVAL '1 microsecond', '5 minutes'
    ) AS bucket
    CROSS JOIN LATERAL (
        SELECT t.price
        FROM bench_trades AS t
        WHERE t.symbol = symbols.symbol AND t.ts >= greatest(bucket, ${start}) AND t.ts < least(bucket + INTERVAL '5 minutes', ${end})
        ORDER BY t.ts DESC, t.seq DESC
        LIMIT 1
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM (
        SELECT symbol, time_bucket('5 minutes', ts) AS bucket, (max(ARRAY[seq, (bid_price_0 + ask_price_0) / 2]))[2] AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8, idiomatic
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM (
    SELECT symbol, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM unnest(ARRAY[${symbols}]::text[]) AS symbols (symbol)
    CROSS JOIN generate_series(
        time_bucket('5 minutes', ${start}), ${end} - INTERVAL '1 microsecond', '5 minutes'
    ) AS bucket
    CROSS JOIN LATERAL (
        SELECT (b.bid_price_0 + b.ask_price_0) / 2 AS mid
        FROM bench_book AS b
        WHERE b.symbol = symbols.symbol AND b.ts >= greatest(bucket, ${start}) AND b.ts < least(bucket + INTERVAL '5 minutes', ${end})
        ORDER BY b.ts DESC, b.seq DESC
        LIMIT 1
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R9
SELECT seq, ts_ns AS ts, price, qty
FROM bench_trades
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end} AND price > ${price}

-- R10
-- The time stamp is what the index has; its nanoseconds decide within the microsecond.
SELECT
    moments.symbol,
    moments.moment,
    book.bid_price_0, book.bid_price_1, book.bid_price_2, book.bid_price_3, book.bid_price_4,
    book.bid_price_5, book.bid_price_6, book.bid_price_7, book.bid_price_8, book.bid_price_9,
    book.bid_qty_0, book.bid_qty_1, book.bid_qty_2, book.bid_qty_3, book.bid_qty_4,
    book.bid_qty_5, book.bid_qty_6, book.bid_qty_7, book.bid_qty_8, book.bid_qty_9,
    book.ask_price_0, book.ask_price_1, book.ask_price_2, book.ask_price_3, book.ask_price_4,
    book.ask_price_5, book.ask_price_6, book.ask_price_7, book.ask_price_8, book.ask_price_9,
    book.ask_qty_0, book.ask_qty_1, book.ask_qty_2, book.ask_qty_3, book.ask_qty_4,
    book.ask_qty_5, book.ask_qty_6, book.ask_qty_7, book.ask_qty_8, book.ask_qty_9
FROM (VALUES ${moments}) AS moments (symbol, moment, at)
CROSS JOIN LATERAL (
    SELECT *
    FROM bench_book
    WHERE bench_book.symbol = moments.symbol AND bench_book.ts <= moments.at AND bench_book.ts_ns <= moments.moment
    ORDER BY bench_book.ts DESC, bench_book.seq DESC
    LIMIT 1
) AS book

-- R11
SELECT
    symbol,
    time_bucket('1 minute', ts) AS minute,
    (min(ARRAY[seq, price]))[2] AS open,
    max(price) AS high,
    min(price) AS low,
    (max(ARRAY[seq, price]))[2] AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R12
SELECT symbol, ts_ns AS ts, seq, price
FROM bench_trades
WHERE seq IN (SELECT max(seq) FROM bench_trades GROUP BY symbol)

-- R12, idiomatic
WITH RECURSIVE symbols (symbol) AS (
    (SELECT symbol FROM bench_trades ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT t.symbol FROM bench_trades AS t WHERE t.symbol > symbols.symbol ORDER BY t.symbol LIMIT 1)
    FROM symbols
    WHERE symbols.symbol IS NOT NULL
)
SELECT symbols.symbol, latest.ts_ns AS ts, latest.seq, latest.price
FROM symbols
CROSS JOIN LATERAL (
    SELECT t.ts_ns, t.seq, t.price
    FROM bench_trades AS t
    WHERE t.symbol = symbols.symbol
    ORDER BY t.ts DESC, t.seq DESC
    LIMIT 1
) AS latest

-- R13
SELECT moments.symbol, moments.moment, trade.price, quote.bid_price_0 AS bid, quote.ask_price_0 AS ask
FROM (VALUES ${moments}) AS moments (symbol, moment, at)
LEFT JOIN LATERAL (
    SELECT price
    FROM bench_trades
    WHERE bench_trades.symbol = moments.symbol AND bench_trades.ts <= moments.at AND bench_trades.ts_ns <= moments.moment
    ORDER BY bench_trades.ts DESC, bench_trades.seq DESC
    LIMIT 1
) AS trade ON true
LEFT JOIN LATERAL (
    SELECT bid_price_0, ask_price_0
    FROM bench_book
    WHERE bench_book.symbol = moments.symbol AND bench_book.ts <= moments.at AND bench_book.ts_ns <= moments.moment
    ORDER BY bench_book.ts DESC, bench_book.seq DESC
    LIMIT 1
) AS quote ON true
WHERE moments.symbol IS NOT NULL

-- R14
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

-- R14, idiomatic
SELECT trade.seq, quote.seq AS book_seq, quote.bid_price_0 AS bid, quote.ask_price_0 AS ask
FROM bench_trades AS trade
LEFT JOIN LATERAL (
    SELECT b.seq, b.bid_price_0, b.ask_price_0
    FROM bench_book AS b
    WHERE b.symbol = trade.symbol AND b.ts <= trade.ts AND b.ts_ns <= trade.ts_ns AND b.ts >= ${start}
    ORDER BY b.ts DESC, b.seq DESC
    LIMIT 1
) AS quote ON true
WHERE trade.symbol IN (${symbols}) AND trade.ts >= ${start} AND trade.ts < ${end}

-- R15
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R16
SELECT
    symbol,
    time_bucket('1 minute', ts) AS minute,
    count(*) AS n,
    avg(price) AS mean,
    stddev_samp(price) AS deviation,
    min(price) AS low,
    max(price) AS high
FROM bench_trades
WHERE venue = ${venue} AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R17
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

-- R17, idiomatic
WITH RECURSIVE asked AS (
    SELECT symbol, ts, seq, qty FROM bench_trades WHERE seq IN (${seqs})
),
walk AS (
    SELECT seq AS origin, symbol, 20 * qty AS wanted, ts, seq, NULL::bigint AS ts_ns, 0::float8 AS traded, 0::float8 AS paid
    FROM asked
    UNION ALL
    SELECT walk.origin, walk.symbol, walk.wanted, later.ts, later.seq, later.ts_ns, walk.traded + later.qty, walk.paid + later.price * later.qty
    FROM walk
    CROSS JOIN LATERAL (
        SELECT t.ts, t.seq, t.ts_ns, t.price, t.qty
        FROM bench_trades AS t
        WHERE t.symbol = walk.symbol AND (t.ts, t.seq) > (walk.ts, walk.seq) AND t.ts < ${end}
        ORDER BY t.ts, t.seq
        LIMIT 1
    ) AS later
    WHERE walk.traded < walk.wanted
)
SELECT asked.seq, multiples.multiple, hit.ts_ns AS reached, hit.paid / hit.traded AS vwap
FROM asked
CROSS JOIN (VALUES (2::bigint), (4), (20)) AS multiples (multiple)
LEFT JOIN LATERAL (
    SELECT walk.ts_ns, walk.paid, walk.traded
    FROM walk
    WHERE walk.origin = asked.seq AND walk.traded >= multiples.multiple * asked.qty
    ORDER BY walk.seq
    LIMIT 1
) AS hit ON true

-- R18
SELECT minute_of_day, avg(volume / day_volume) AS share
FROM (
    SELECT
        minute % 1440 AS minute_of_day,
        volume,
        sum(volume) OVER (PARTITION BY symbol, minute / 1440) AS day_volume
    FROM (
        SELECT symbol, ts_ns / 60000000000 AS minute, sum(qty) AS volume
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS minutes
) AS shares
GROUP BY minute_of_day

-- R19
SELECT symbol, minute, avg((bids - asks) / (bids + asks)) AS imbalance
FROM (
    SELECT
        symbol,
        time_bucket('1 minute', ts) AS minute,
        bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids,
        ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS depths
GROUP BY symbol, minute

-- R20
SELECT
    seq,
    CASE
        WHEN ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3
            + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 + ask_qty_9 >= ${qty}
        THEN (
            ask_price_0 * greatest(least(ask_qty_0, ${qty}), 0)
            + ask_price_1 * greatest(least(ask_qty_1, ${qty} - ask_qty_0), 0)
            + ask_price_2 * greatest(least(ask_qty_2, ${qty} - (ask_qty_0 + ask_qty_1)), 0)
            + ask_price_3 * greatest(least(ask_qty_3, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2)), 0)
            + ask_price_4 * greatest(least(ask_qty_4, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3)), 0)
            + ask_price_5 * greatest(least(ask_qty_5, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4)), 0)
            + ask_price_6 * greatest(least(ask_qty_6, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5)), 0)
            + ask_price_7 * greatest(least(ask_qty_7, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6)), 0)
            + ask_price_8 * greatest(least(ask_qty_8, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7)), 0)
            + ask_price_9 * greatest(least(ask_qty_9, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8)), 0)
        ) / ${qty}
    END AS mean_price
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}

-- R21
SELECT time_bucket('1 second', ts) AS second, sum(flow) AS flow
FROM (
    SELECT
        ts,
        CASE WHEN bid_price_0 >= lag(bid_price_0) OVER earlier THEN bid_qty_0 ELSE 0 END
        - CASE WHEN bid_price_0 <= lag(bid_price_0) OVER earlier THEN lag(bid_qty_0) OVER earlier ELSE 0 END
        - CASE WHEN ask_price_0 <= lag(ask_price_0) OVER earlier THEN ask_qty_0 ELSE 0 END
        + CASE WHEN ask_price_0 >= lag(ask_price_0) OVER earlier THEN lag(ask_qty_0) OVER earlier ELSE 0 END AS flow,
        row_number() OVER earlier AS place
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW earlier AS (ORDER BY seq)
) AS changes
WHERE place > 1
GROUP BY second

-- R22
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, (max(ARRAY[seq, price]))[2] AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R22, idiomatic
WITH RECURSIVE symbols (symbol) AS (
    (SELECT symbol FROM bench_trades ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT t.symbol FROM bench_trades AS t WHERE t.symbol > symbols.symbol ORDER BY t.symbol LIMIT 1)
    FROM symbols
    WHERE symbols.symbol IS NOT NULL
)
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM symbols
    CROSS JOIN generate_series(time_bucket('1 minute', ${start}), ${end} - INTERVAL '1 microsecond', '1 minute') AS minute
    CROSS JOIN LATERAL (
        SELECT t.price
        FROM bench_trades AS t
        WHERE t.symbol = symbols.symbol AND t.ts >= greatest(minute, ${start}) AND t.ts < least(minute + INTERVAL '1 minute', ${end})
        ORDER BY t.ts DESC, t.seq DESC
        LIMIT 1
    ) AS closes
) AS returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R23
WITH returns AS (
    SELECT symbol, minute, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, time_bucket('1 minute', ts) AS minute, (max(ARRAY[seq, price]))[2] AS price
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

-- R23, idiomatic
WITH returns AS (
    SELECT symbol, minute, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM unnest(ARRAY[${symbols}]::text[]) AS symbols (symbol)
    CROSS JOIN generate_series(time_bucket('1 minute', ${start}), ${end} - INTERVAL '1 microsecond', '1 minute') AS minute
    CROSS JOIN LATERAL (
        SELECT t.price
        FROM bench_trades AS t
        WHERE t.symbol = symbols.symbol AND t.ts >= greatest(minute, ${start}) AND t.ts < least(minute + INTERVAL '1 minute', ${end})
        ORDER BY t.ts DESC, t.seq DESC
        LIMIT 1
    ) AS closes
)
SELECT one.symbol AS a, other.symbol AS b, corr(one.log_return, other.log_return) AS correlation, count(*) AS n
FROM returns AS one
JOIN returns AS other ON one.minute = other.minute AND one.symbol COLLATE "C" < other.symbol COLLATE "C"
WHERE one.log_return IS NOT NULL AND other.log_return IS NOT NULL
GROUP BY a, b
HAVING
    count(*) > 1
    AND min(one.log_return) < max(one.log_return)
    AND min(other.log_return) < max(other.log_return)

-- R24
SELECT seq, symbol, price, qty
FROM bench_trades
WHERE ts >= ${start} AND ts < ${end} AND qty > ${qty}

-- R25
SELECT symbol, time_bucket('1 hour', ts) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book
WHERE ts >= ${start} AND ts < ${end}
GROUP BY symbol, hour

-- R26
SELECT time_bucket('1 minute', ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end}
GROUP BY minute
ORDER BY minute DESC
LIMIT 5

-- R26, idiomatic
WITH RECURSIVE symbols (symbol) AS (
    (SELECT symbol FROM bench_trades ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT t.symbol FROM bench_trades AS t WHERE t.symbol > symbols.symbol ORDER BY t.symbol LIMIT 1)
    FROM symbols
    WHERE symbols.symbol IS NOT NULL
),
minutes (bound, place) AS (
    SELECT ${end}, 0
    UNION ALL
    SELECT (
        SELECT date_trunc('minute', max(latest.ts))
        FROM symbols
        CROSS JOIN LATERAL (
            SELECT t.ts FROM bench_trades AS t
            WHERE t.symbol = symbols.symbol AND t.ts < minutes.bound
            ORDER BY t.ts DESC LIMIT 1
        ) AS latest
    ), place + 1
    FROM minutes
    WHERE place < 5 AND bound IS NOT NULL
)
SELECT minutes.bound AS minute, max(highs.price) AS high
FROM minutes
CROSS JOIN symbols
CROSS JOIN LATERAL (
    SELECT max(t.price) AS price FROM bench_trades AS t
    WHERE t.symbol = symbols.symbol AND t.ts >= minutes.bound AND t.ts < least(minutes.bound + INTERVAL '1 minute', ${end})
) AS highs
WHERE place > 0 AND bound IS NOT NULL
GROUP BY minutes.bound

-- R27
SELECT symbol, venue, sum(n)::bigint AS n, count(*) AS prices, max(notional) AS highest_notional
FROM (
    SELECT symbol, venue, price, count(*) AS n, max(price * qty) AS notional
    FROM bench_trades
    GROUP BY symbol, venue, price
) AS prices
GROUP BY symbol, venue

-- R28
SELECT min(seq) AS seq, min(price) AS price, count(*) AS n
FROM (
    SELECT seq, price, count(*) FILTER (WHERE starts) OVER (ORDER BY seq) AS run
    FROM (
        SELECT seq, price, (price = lag(price) OVER (ORDER BY seq)) IS NOT TRUE AS starts
        FROM bench_trades
        WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    ) AS marked
) AS runs
GROUP BY run
HAVING count(*) >= ${length}
