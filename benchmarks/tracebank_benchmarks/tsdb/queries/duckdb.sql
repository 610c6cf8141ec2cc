-- R1
SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume
FROM (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
)

-- R2
SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count(*) AS n
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
    1e4 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R5
-- Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
WITH rows AS (
    SELECT ts, seq, venue, bid_price_0, ask_price_0
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
),
carried AS (
    SELECT
        seq,
        last_value(CASE WHEN rows.venue = venues.venue THEN bid_price_0 END IGNORE NULLS) OVER sofar AS bid,
        last_value(CASE WHEN rows.venue = venues.venue THEN ask_price_0 END IGNORE NULLS) OVER sofar AS ask
    FROM rows, (SELECT DISTINCT venue FROM rows) AS venues
    WINDOW sofar AS (PARTITION BY venues.venue ORDER BY ts, seq ROWS UNBOUNDED PRECEDING)
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask
FROM carried
GROUP BY seq

-- R6
WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, arg_max((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
)
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM ends

-- R7
WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8
WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, arg_max((bid_price_0 + ask_price_0) / 2, seq) AS price
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R9
SELECT seq, ts, price, qty
FROM bench_trades
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end} AND price > ${price}

-- R10
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
minutes AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, max(seq) AS seq
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY ALL
),
found AS (
    SELECT symbol, moment, max(seq) AS seq
    FROM (
        SELECT moments.symbol, moments.moment, book.seq
        FROM moments
        JOIN bench_book AS book
            ON book.symbol = moments.symbol
            AND time_bucket(INTERVAL 1 MINUTE, book.ts) = time_bucket(INTERVAL 1 MINUTE, moments.moment)
            AND book.ts <= moments.moment
        UNION ALL
        SELECT moments.symbol, moments.moment, minutes.seq
        FROM moments
        ASOF JOIN minutes ON moments.symbol = minutes.symbol AND time_bucket(INTERVAL 1 MINUTE, moments.moment) > minutes.minute
    )
    GROUP BY ALL
)
SELECT found.symbol, found.moment, book.* EXCLUDE (ts, symbol, venue, seq)
FROM bench_book AS book
JOIN found ON book.seq = found.seq

-- R11
SELECT
    symbol,
    time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
    arg_min(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    arg_max(price, seq) AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R12
SELECT symbol, ts, seq, price
FROM bench_trades
WHERE seq IN (SELECT max(seq) FROM bench_trades GROUP BY symbol)

-- R13
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
prints AS (
    SELECT moments.symbol, moments.moment, max(rows.seq) AS seq, arg_max(rows.price, rows.seq) AS price
    FROM moments
    JOIN bench_trades AS rows
        ON rows.symbol = moments.symbol
        AND time_bucket(INTERVAL 1 MINUTE, rows.ts) = time_bucket(INTERVAL 1 MINUTE, moments.moment)
        AND rows.ts <= moments.moment
    GROUP BY ALL
),
print_minutes AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY ALL
),
quotes AS (
    SELECT moments.symbol, moments.moment, arg_max(rows.bid_price_0, rows.seq) AS bid, arg_max(rows.ask_price_0, rows.seq) AS ask
    FROM moments
    JOIN bench_book AS rows
        ON rows.symbol = moments.symbol
        AND time_bucket(INTERVAL 1 MINUTE, rows.ts) = time_bucket(INTERVAL 1 MINUTE, moments.moment)
        AND rows.ts <= moments.moment
    GROUP BY ALL
),
quote_minutes AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, arg_max(bid_price_0, seq) AS bid, arg_max(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY ALL
)
SELECT
    moments.symbol,
    moments.moment,
    coalesce(prints.price, print_minutes.price) AS price,
    coalesce(quotes.bid, quote_minutes.bid) AS bid,
    coalesce(quotes.ask, quote_minutes.ask) AS ask
FROM moments
LEFT JOIN prints ON prints.symbol = moments.symbol AND prints.moment = moments.moment
LEFT JOIN quotes ON quotes.symbol = moments.symbol AND quotes.moment = moments.moment
ASOF LEFT JOIN print_minutes ON moments.symbol = print_minutes.symbol AND time_bucket(INTERVAL 1 MINUTE, moments.moment) > print_minutes.minute
ASOF LEFT JOIN quote_minutes ON moments.symbol = quote_minutes.symbol AND time_bucket(INTERVAL 1 MINUTE, moments.moment) > quote_minutes.minute

-- R14
-- Quotes that tie in time are cut down to the one of highest seq: an as-of join may take any of them.
WITH quotes AS (
    SELECT symbol, ts, max(seq) AS book_seq, arg_max(bid_price_0, seq) AS bid, arg_max(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
),
prints AS (
    SELECT seq, symbol, ts
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT prints.seq, quotes.book_seq, quotes.bid, quotes.ask
FROM prints
ASOF LEFT JOIN quotes ON prints.symbol = quotes.symbol AND prints.ts >= quotes.ts

-- R15
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R16
SELECT
    symbol,
    time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
    count(*) AS n,
    avg(price) AS mean,
    stddev_samp(price) AS deviation,
    min(price) AS low,
    max(price) AS high
FROM bench_trades
WHERE venue = ${venue} AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R17
WITH asked AS (
    SELECT symbol, seq, qty
    FROM bench_trades
    WHERE seq IN (${seqs})
),
running AS MATERIALIZED (
    SELECT symbol, seq, ts, price, qty, sum(qty) OVER (PARTITION BY symbol ORDER BY seq ROWS UNBOUNDED PRECEDING) AS traded
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM asked) AND seq >= (SELECT min(seq) FROM asked) AND ts < ${end}
),
spans AS (
    SELECT asked.symbol, asked.seq, asked.qty, running.traded AS before, asked.qty * 20.001 + running.traded AS far
    FROM asked
    JOIN running ON running.seq = asked.seq
),
ahead AS (
    SELECT spans.seq AS asked_seq, spans.qty AS asked_qty, later.seq, later.ts, 
      sum(later.qty) OVER sofar AS traded, sum(later.price * later.qty) OVER sofar AS paid
    FROM spans
    ASOF LEFT JOIN (SELECT symbol, traded AS until, seq AS last FROM running) AS ends ON spans.symbol = ends.symbol AND spans.far <= ends.until
    JOIN running AS later ON later.symbol = spans.symbol AND later.seq > spans.seq AND later.seq <= coalesce(ends.last, 9223372036854775807)
    WINDOW sofar AS (PARTITION BY spans.seq ORDER BY later.seq ROWS UNBOUNDED PRECEDING)
),
multiples(multiple) AS (VALUES (2), (4), (20)),
reached AS (
    SELECT asked_seq, multiple, arg_min(ts, seq) AS reached, arg_min(paid / traded, seq) AS vwap
    FROM ahead JOIN multiples ON traded >= multiple * asked_qty
    GROUP BY asked_seq, multiple
)
SELECT asked.seq, multiples.multiple, reached.reached, reached.vwap
FROM asked
CROSS JOIN multiples
LEFT JOIN reached ON asked.seq = reached.asked_seq AND multiples.multiple = reached.multiple

-- R18
WITH minutes AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
shares AS (
    SELECT
        60 * extract(hour FROM minute) + extract(minute FROM minute) AS minute_of_day,
        volume / sum(volume) OVER (PARTITION BY symbol, date_trunc('day', minute)) AS share
    FROM minutes
)
SELECT minute_of_day, avg(share) AS share
FROM shares
GROUP BY minute_of_day

-- R19
WITH depths AS (
    SELECT
        symbol,
        time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
        bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids,
        ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT symbol, minute, avg((bids - asks) / (bids + asks)) AS imbalance
FROM depths
GROUP BY symbol, minute

-- R20
WITH asks AS (
    SELECT *,
        greatest(${qty} - ask_qty_0, 0) AS left_0,
        greatest(left_0 - ask_qty_1, 0) AS left_1,
        greatest(left_1 - ask_qty_2, 0) AS left_2,
        greatest(left_2 - ask_qty_3, 0) AS left_3,
        greatest(left_3 - ask_qty_4, 0) AS left_4,
        greatest(left_4 - ask_qty_5, 0) AS left_5,
        greatest(left_5 - ask_qty_6, 0) AS left_6,
        greatest(left_6 - ask_qty_7, 0) AS left_7,
        greatest(left_7 - ask_qty_8, 0) AS left_8,
        greatest(left_8 - ask_qty_9, 0) AS left_9
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
)
SELECT seq, CASE WHEN left_9 = 0 THEN (
    (${qty} - left_0) * ask_price_0 + (left_0 - left_1) * ask_price_1 + (left_1 - left_2) * ask_price_2 + (left_2 - left_3) * ask_price_3
    + (left_3 - left_4) * ask_price_4 + (left_4 - left_5) * ask_price_5 + (left_5 - left_6) * ask_price_6 + (left_6 - left_7) * ask_price_7
    + (left_7 - left_8) * ask_price_8 + (left_8 - left_9) * ask_price_9) / ${qty} END AS mean_price
FROM asks

-- R21
WITH moves AS (
    SELECT
        ts,
        bid_price_0 AS bid,
        bid_qty_0 AS bid_qty,
        ask_price_0 AS ask,
        ask_qty_0 AS ask_qty,
        lag(bid_price_0) OVER rising AS bid_before,
        lag(bid_qty_0) OVER rising AS bid_qty_before,
        lag(ask_price_0) OVER rising AS ask_before,
        lag(ask_qty_0) OVER rising AS ask_qty_before
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW rising AS (ORDER BY seq)
)
SELECT
    time_bucket(INTERVAL 1 SECOND, ts) AS second,
    sum(
        CASE WHEN bid >= bid_before THEN bid_qty ELSE 0 END
        - CASE WHEN bid <= bid_before THEN bid_qty_before ELSE 0 END
        - CASE WHEN ask <= ask_before THEN ask_qty ELSE 0 END
        + CASE WHEN ask >= ask_before THEN ask_qty_before ELSE 0 END
    ) AS flow
FROM moves
WHERE bid_before IS NOT NULL
GROUP BY second

-- R22
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, epoch_ns(ts) // 60000000000 AS minute, arg_max(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY ALL
    )
)
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R23
WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS bucket, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, bucket, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT
    l.symbol AS a,
    r.symbol AS b,
    corr(l.log_return, r.log_return) AS correlation,
    count(*) AS n
FROM returns AS l
JOIN returns AS r ON l.bucket = r.bucket AND l.symbol < r.symbol
WHERE l.log_return IS NOT NULL AND r.log_return IS NOT NULL
GROUP BY l.symbol, r.symbol
HAVING count(*) >= 2
    AND min(l.log_return) < max(l.log_return)
    AND min(r.log_return) < max(r.log_return)

-- R24
SELECT seq, symbol, price, qty
FROM bench_trades
WHERE ts >= ${start} AND ts < ${end} AND qty > ${qty}

-- R25
SELECT symbol, time_bucket(INTERVAL 1 HOUR, ts) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book
WHERE ts >= ${start} AND ts < ${end}
GROUP BY symbol, hour

-- R26
SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end}
GROUP BY minute
ORDER BY minute DESC
LIMIT 5

-- R27
SELECT symbol, venue, sum(n)::BIGINT AS n, count(*) AS prices, max(notional) AS highest_notional
FROM (SELECT symbol, venue, price, count(*) AS n, max(price * qty) AS notional FROM bench_trades GROUP BY ALL)
GROUP BY ALL

-- R28
WITH changes AS (
    SELECT seq, price, price IS DISTINCT FROM lag(price) OVER (ORDER BY seq) AS starts
    FROM bench_trades
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
),
runs AS (
    SELECT seq, price, count_if(starts) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS run
    FROM changes
)
SELECT min(seq) AS seq, any_value(price) AS price, count(*) AS n
FROM runs
GROUP BY run
HAVING count(*) >= ${length}
