-- R5: pivot by venue window
WITH quotes AS (
    SELECT seq, venue, bid_price_0 AS bid, ask_price_0 AS ask
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
),
latest AS (
    SELECT quotes.seq, arg_max(bid, quotes.seq) FILTER (WHERE quotes.venue = venues.venue) OVER sofar AS bid, arg_max(ask, quotes.seq) FILTER (WHERE quotes.venue = venues.venue) OVER sofar AS ask
    FROM quotes, (SELECT DISTINCT venue FROM quotes) AS venues
    WINDOW sofar AS (PARTITION BY venues.venue ORDER BY quotes.seq ROWS UNBOUNDED PRECEDING)
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask FROM latest GROUP BY seq

-- R5: as-of every venue
WITH quotes AS (
    SELECT seq, venue, bid_price_0 AS bid, ask_price_0 AS ask
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
)
SELECT rows.seq, max(quotes.bid) AS best_bid, min(quotes.ask) AS best_ask
FROM (SELECT seq, venues.venue FROM quotes, (SELECT DISTINCT venue FROM quotes) AS venues) AS rows
ASOF JOIN quotes ON rows.venue = quotes.venue AND rows.seq >= quotes.seq
GROUP BY rows.seq

-- R10: a row a time stamp, then as-of
-- The time is looked up in three columns; the ten levels are fetched of the rows found.
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
latest AS (
    SELECT symbol, ts, max(seq) AS seq
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
),
found AS (
    SELECT moments.symbol, moments.moment, latest.seq
    FROM moments
    ASOF JOIN latest ON moments.symbol = latest.symbol AND moments.moment >= latest.ts
)
SELECT
    found.symbol,
    found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4, bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4, bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4, ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4, ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM bench_book
JOIN found ON bench_book.seq = found.seq

-- R10: largest of all before
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
found AS (
    SELECT moments.symbol, moments.moment, max(book.seq) AS seq
    FROM moments
    JOIN bench_book AS book ON book.symbol = moments.symbol AND book.ts <= moments.moment
    GROUP BY ALL
)
SELECT found.symbol, found.moment, book.* EXCLUDE (ts, symbol, venue, seq)
FROM bench_book AS book
JOIN found ON book.seq = found.seq

-- R10: as-of without reduction
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
latest AS (
    SELECT moments.symbol, moments.moment, book.ts
    FROM moments
    ASOF JOIN bench_book AS book ON moments.symbol = book.symbol AND moments.moment >= book.ts
),
found AS (
    SELECT latest.symbol, latest.moment, max(book.seq) AS seq FROM latest JOIN bench_book AS book ON book.symbol = latest.symbol AND book.ts = latest.ts GROUP BY ALL
)
SELECT found.symbol, found.moment, book.* EXCLUDE (ts, symbol, venue, seq)
FROM bench_book AS book
JOIN found ON book.seq = found.seq

-- R12: arg_max
SELECT symbol, arg_max(ts, seq) AS ts, max(seq) AS seq, arg_max(price, seq) AS price
FROM bench_trades
GROUP BY symbol

-- R12: last of each day
SELECT symbol, arg_max(ts, seq) AS ts, max(seq) AS seq, arg_max(price, seq) AS price FROM bench_trades
WHERE ts >= (SELECT min(ts) FROM (SELECT max(ts) AS ts FROM bench_trades GROUP BY symbol))
GROUP BY symbol

-- R13: a row a time stamp, then as-of
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
prints AS (
    SELECT symbol, ts, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
),
quotes AS (
    SELECT symbol, ts, arg_max(bid_price_0, seq) AS bid, arg_max(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
)
SELECT moments.symbol, moments.moment, prints.price, quotes.bid, quotes.ask
FROM moments
ASOF LEFT JOIN prints ON moments.symbol = prints.symbol AND moments.moment >= prints.ts
ASOF LEFT JOIN quotes ON moments.symbol = quotes.symbol AND moments.moment >= quotes.ts

-- R13: largest of all before
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
prints AS (
    SELECT moments.symbol, moments.moment, arg_max(rows.price, rows.seq) AS price
    FROM moments
    JOIN bench_trades AS rows ON rows.symbol = moments.symbol AND rows.ts <= moments.moment
    GROUP BY ALL
),
quotes AS (
    SELECT moments.symbol, moments.moment, max(rows.seq) AS seq
    FROM moments
    JOIN bench_book AS rows ON rows.symbol = moments.symbol AND rows.ts <= moments.moment
    GROUP BY ALL
)
SELECT moments.symbol, moments.moment, prints.price, book.bid_price_0 AS bid, book.ask_price_0 AS ask
FROM moments
LEFT JOIN prints ON prints.symbol = moments.symbol AND prints.moment = moments.moment
LEFT JOIN quotes ON quotes.symbol = moments.symbol AND quotes.moment = moments.moment
LEFT JOIN bench_book AS book ON book.seq = quotes.seq

-- R14: last of each tie by window
WITH quotes AS (
    SELECT symbol, ts, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    QUALIFY lead(ts) OVER (PARTITION BY symbol ORDER BY seq) IS DISTINCT FROM ts
),
prints AS (
    SELECT seq, symbol, ts
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT prints.seq, quotes.book_seq, quotes.bid, quotes.ask
FROM prints
ASOF LEFT JOIN quotes ON prints.symbol = quotes.symbol AND prints.ts >= quotes.ts

-- R14: ties by seq, then the row
WITH quotes AS (
    SELECT symbol, ts, max(seq) AS book_seq
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
),
prints AS (
    SELECT seq, symbol, ts
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT prints.seq, quotes.book_seq, book.bid_price_0 AS bid, book.ask_price_0 AS ask
FROM prints
ASOF LEFT JOIN quotes ON prints.symbol = quotes.symbol AND prints.ts >= quotes.ts
LEFT JOIN (SELECT seq, bid_price_0, ask_price_0 FROM bench_book WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}) AS book ON book.seq = quotes.book_seq

-- R17: every asked trade joined with all later ones
WITH asked AS (
    SELECT symbol, seq, qty
    FROM bench_trades
    WHERE seq IN (${seqs})
),
later AS (
    SELECT symbol, seq, ts, price, qty
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM asked) AND seq > (SELECT min(seq) FROM asked) AND ts < ${end}
),
running AS (
    SELECT
        asked.seq AS asked_seq,
        asked.qty AS asked_qty,
        later.seq,
        later.ts,
        sum(later.qty) OVER sofar AS traded,
        sum(later.price * later.qty) OVER sofar AS paid
    FROM asked
    JOIN later ON asked.symbol = later.symbol AND later.seq > asked.seq
    WINDOW sofar AS (PARTITION BY asked.seq ORDER BY later.seq ROWS UNBOUNDED PRECEDING)
),
multiples(multiple) AS (
    VALUES (2), (4), (20)
),
reached AS (
    SELECT asked_seq, multiple, arg_min(ts, seq) AS reached, arg_min(paid / traded, seq) AS vwap
    FROM running
    JOIN multiples ON traded >= multiple * asked_qty
    GROUP BY asked_seq, multiple
)
SELECT asked.seq, multiples.multiple, reached.reached, reached.vwap
FROM asked
CROSS JOIN multiples
LEFT JOIN reached ON asked.seq = reached.asked_seq AND multiples.multiple = reached.multiple

-- R17: running sums, as-of on the sum
WITH asked AS (
    SELECT symbol, seq, qty
    FROM bench_trades
    WHERE seq IN (${seqs})
),
running AS MATERIALIZED (
    SELECT
        symbol, seq, ts,
        sum(qty) OVER sofar AS traded,
        sum(price * qty) OVER sofar AS paid
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM asked) AND seq >= (SELECT min(seq) FROM asked) AND ts < ${end}
    WINDOW sofar AS (PARTITION BY symbol ORDER BY seq ROWS UNBOUNDED PRECEDING)
),
targets AS (
    SELECT asked.symbol, asked.seq, multiple, running.traded AS before, running.paid AS paid_before, running.traded + multiple * asked.qty AS target
    FROM asked
    LEFT JOIN running ON running.seq = asked.seq
    CROSS JOIN (VALUES (2), (4), (20)) AS multiples(multiple)
)
SELECT targets.seq, targets.multiple, running.ts AS reached, (running.paid - paid_before) / (running.traded - before) AS vwap
FROM targets
ASOF LEFT JOIN running ON targets.symbol = running.symbol AND targets.target <= running.traded

-- R20: depths summed up
WITH depths AS (
    SELECT
        *,
        ask_qty_0 AS held_0,
        held_0 + ask_qty_1 AS held_1,
        held_1 + ask_qty_2 AS held_2,
        held_2 + ask_qty_3 AS held_3,
        held_3 + ask_qty_4 AS held_4,
        held_4 + ask_qty_5 AS held_5,
        held_5 + ask_qty_6 AS held_6,
        held_6 + ask_qty_7 AS held_7,
        held_7 + ask_qty_8 AS held_8,
        held_8 + ask_qty_9 AS held_9
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
)
SELECT
    seq,
    CASE WHEN held_9 >= ${qty} THEN (
        least(ask_qty_0, ${qty}) * ask_price_0
        + greatest(least(ask_qty_1, ${qty} - held_0), 0) * ask_price_1
        + greatest(least(ask_qty_2, ${qty} - held_1), 0) * ask_price_2
        + greatest(least(ask_qty_3, ${qty} - held_2), 0) * ask_price_3
        + greatest(least(ask_qty_4, ${qty} - held_3), 0) * ask_price_4
        + greatest(least(ask_qty_5, ${qty} - held_4), 0) * ask_price_5
        + greatest(least(ask_qty_6, ${qty} - held_5), 0) * ask_price_6
        + greatest(least(ask_qty_7, ${qty} - held_6), 0) * ask_price_7
        + greatest(least(ask_qty_8, ${qty} - held_7), 0) * ask_price_8
        + greatest(least(ask_qty_9, ${qty} - held_8), 0) * ask_price_9
    ) / ${qty} END AS mean_price
FROM depths

-- R22: minutes by time_bucket
WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS bucket, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT
    symbol,
    sqrt(sum(log_return * log_return)) AS realised,
    stddev_samp(log_return) AS deviation,
    count(*) AS n
FROM returns
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R26: bounded first
WITH latest AS (
    SELECT DISTINCT time_bucket(INTERVAL 1 MINUTE, ts) AS minute
    FROM bench_trades
    WHERE ts < ${end}
    ORDER BY minute DESC
    LIMIT 5
)
SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end} AND ts >= (SELECT min(minute) FROM latest)
GROUP BY minute

-- R27: count(DISTINCT)
SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue

-- R27: list of distinct
SELECT symbol, venue, count(*) AS n, len(list_distinct(list(price))) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue
