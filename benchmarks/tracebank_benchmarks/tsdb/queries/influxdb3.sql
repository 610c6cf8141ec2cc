-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.

-- R1
WITH minutes AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(qty) AS volume
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
)
SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume FROM minutes

-- R2
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count(*) AS n
FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2

-- R3
SELECT symbol, max(bid_price_0) AS highest_bid FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R3, paper
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS bid_price_0
  FROM bench_book WHERE side = 'bid'
)
SELECT symbol, max(bid_price_0) AS highest_bid FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R4
SELECT symbol, avg(ask_price_0 - bid_price_0) AS spread,
  1e4 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R4, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
)
SELECT symbol, avg(ask_price_0 - bid_price_0) AS spread,
  1e4 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R5
-- Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
WITH rows AS (
  SELECT ts, seq, venue, bid_price_0, ask_price_0 FROM bench_book WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT seq,
    last_value(CASE WHEN rows.venue = venues.venue THEN bid_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(CASE WHEN rows.venue = venues.venue THEN ask_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM rows CROSS JOIN (SELECT DISTINCT venue FROM rows) AS venues
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask FROM carried GROUP BY seq

-- R5, paper
-- Bid and ask of a row are points of two series: they are joined first.
-- Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), rows AS (
  SELECT ts, seq, venue, bid_price_0, ask_price_0 FROM quotes WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT seq,
    last_value(CASE WHEN rows.venue = venues.venue THEN bid_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(CASE WHEN rows.venue = venues.venue THEN ask_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM rows CROSS JOIN (SELECT DISTINCT venue FROM rows) AS venues
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask FROM carried GROUP BY seq

-- R6
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, bucket, v AS mid, log_return FROM returns

-- R6, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, bucket, v AS mid, log_return FROM returns

-- R7
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value(price ORDER BY seq) AS v
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns WHERE log_return IS NOT NULL GROUP BY symbol

-- R8
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns WHERE log_return IS NOT NULL GROUP BY symbol

-- R8, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns WHERE log_return IS NOT NULL GROUP BY symbol

-- R9
SELECT seq, ts, price, qty FROM bench_trades
WHERE symbol = ${symbol} AND price > ${price} AND time >= ${start} AND time < ${end}

-- R10
-- As-of by carrying forward: moments stand among the rows, after those of their own time; the levels are fetched last.
WITH asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq FROM bench_book
  WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL FROM moments
), found AS (
  SELECT at AS moment, later, last_value(seq) IGNORE NULLS
    OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS seq
  FROM ordered
)
SELECT bench_book.symbol, found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4,
    bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4,
    bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM bench_book JOIN found ON bench_book.seq = found.seq WHERE found.later = 1

-- R10, paper
-- Bid and ask of a row are points of two series: they are joined first.
-- As-of by carrying forward: moments stand among the rows, after those of their own time; the levels are fetched last.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, b.price_1 AS bid_price_1, b.price_2 AS bid_price_2, b.price_3 AS bid_price_3,
    b.price_4 AS bid_price_4, b.price_5 AS bid_price_5, b.price_6 AS bid_price_6, b.price_7 AS bid_price_7,
    b.price_8 AS bid_price_8, b.price_9 AS bid_price_9, b.qty_0 AS bid_qty_0, b.qty_1 AS bid_qty_1,
    b.qty_2 AS bid_qty_2, b.qty_3 AS bid_qty_3, b.qty_4 AS bid_qty_4, b.qty_5 AS bid_qty_5,
    b.qty_6 AS bid_qty_6, b.qty_7 AS bid_qty_7, b.qty_8 AS bid_qty_8, b.qty_9 AS bid_qty_9,
    a.price_0 AS ask_price_0, a.price_1 AS ask_price_1, a.price_2 AS ask_price_2, a.price_3 AS ask_price_3,
    a.price_4 AS ask_price_4, a.price_5 AS ask_price_5, a.price_6 AS ask_price_6, a.price_7 AS ask_price_7,
    a.price_8 AS ask_price_8, a.price_9 AS ask_price_9, a.qty_0 AS ask_qty_0, a.qty_1 AS ask_qty_1,
    a.qty_2 AS ask_qty_2, a.qty_3 AS ask_qty_3, a.qty_4 AS ask_qty_4, a.qty_5 AS ask_qty_5,
    a.qty_6 AS ask_qty_6, a.qty_7 AS ask_qty_7, a.qty_8 AS ask_qty_8, a.qty_9 AS ask_qty_9
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq FROM quotes
  WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL FROM moments
), found AS (
  SELECT at AS moment, later, last_value(seq) IGNORE NULLS
    OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS seq
  FROM ordered
)
SELECT quotes.symbol, found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4,
    bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4,
    bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM quotes JOIN found ON quotes.seq = found.seq WHERE found.later = 1

-- R11
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, first_value(price ORDER BY seq) AS open, max(price) AS high, min(price) AS low,
  last_value(price ORDER BY seq) AS close, sum(qty) AS volume, count(*) AS n
FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2

-- R12
SELECT symbol, last_value(ts ORDER BY seq) AS ts, max(seq) AS seq, last_value(price ORDER BY seq) AS price
FROM bench_trades GROUP BY symbol

-- R13
-- As-of by carrying forward: moments stand among the rows, after those of their own time.
WITH asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq, price, CAST(NULL AS DOUBLE) AS bid, CAST(NULL AS DOUBLE) AS ask
  FROM bench_trades WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT CAST(symbol AS VARCHAR), ts, 0, seq, NULL, bid_price_0, ask_price_0
  FROM bench_book WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL, NULL, NULL, NULL FROM moments
), carried AS (
  SELECT symbol, at AS moment, later,
    last_value(price) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS price,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT symbol, moment, price, bid, ask FROM carried WHERE later = 1

-- R13, paper
-- Bid and ask of a row are points of two series: they are joined first.
-- As-of by carrying forward: moments stand among the rows, after those of their own time.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq, price, CAST(NULL AS DOUBLE) AS bid, CAST(NULL AS DOUBLE) AS ask
  FROM bench_trades WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT CAST(symbol AS VARCHAR), ts, 0, seq, NULL, bid_price_0, ask_price_0
  FROM quotes WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL, NULL, NULL, NULL FROM moments
), carried AS (
  SELECT symbol, at AS moment, later,
    last_value(price) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS price,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT symbol, moment, price, bid, ask FROM carried WHERE later = 1

-- R14
-- As-of by carrying forward: trades stand among the book's rows, after those of their own time.
WITH ordered AS (
  SELECT symbol, ts AS at, 0 AS later, seq, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
  UNION ALL
  SELECT symbol, ts, 1, seq, NULL, NULL, NULL FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT later, seq,
    last_value(book_seq) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS book_seq,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT seq, book_seq, bid, ask FROM carried WHERE later = 1

-- R14, paper
-- Bid and ask of a row are points of two series: they are joined first.
-- As-of by carrying forward: trades stand among the book's rows, after those of their own time.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), ordered AS (
  SELECT symbol, ts AS at, 0 AS later, seq, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
  UNION ALL
  SELECT symbol, ts, 1, seq, NULL, NULL, NULL FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT later, seq,
    last_value(book_seq) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS book_seq,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT seq, book_seq, bid, ask FROM carried WHERE later = 1

-- R15
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R15, paper
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS bid_price_0, qty_0 AS bid_qty_0
  FROM bench_book WHERE side = 'bid'
)
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol

-- R16
SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, count(*) AS n, avg(price) AS mean, stddev_samp(price) AS deviation,
  min(price) AS low, max(price) AS high
FROM bench_trades WHERE venue = ${venue} AND time >= ${start} AND time < ${end} GROUP BY 1, 2

-- R17
WITH asked AS (
  SELECT symbol, seq, qty FROM bench_trades WHERE seq IN (${seqs})
), later AS (
  SELECT symbol, seq, ts, price, qty FROM bench_trades
  WHERE symbol IN (SELECT symbol FROM asked) AND seq > (SELECT min(seq) FROM asked) AND time < ${end}
), running AS (
  SELECT asked.seq AS asked_seq, asked.qty AS asked_qty, later.seq, later.ts,
    sum(later.qty) OVER (PARTITION BY asked.seq ORDER BY later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS traded,
    sum(later.price * later.qty)
      OVER (PARTITION BY asked.seq ORDER BY later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS paid
  FROM asked JOIN later ON asked.symbol = later.symbol AND later.seq > asked.seq
), multiples AS (
  SELECT column1 AS multiple FROM (VALUES (2), (4), (20))
), reached AS (
  SELECT asked_seq, multiple, first_value(ts ORDER BY seq) AS reached, first_value(paid / traded ORDER BY seq) AS vwap
  FROM running JOIN multiples ON traded >= multiple * asked_qty GROUP BY asked_seq, multiple
)
SELECT asked.seq, multiples.multiple, reached.reached, reached.vwap
FROM asked CROSS JOIN multiples
LEFT JOIN reached ON asked.seq = reached.asked_seq AND multiples.multiple = reached.multiple

-- R18
WITH minutes AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(qty) AS volume FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), shares AS (
  SELECT CAST(60 * date_part('hour', minute) + date_part('minute', minute) AS BIGINT) AS minute_of_day,
    volume / sum(volume) OVER (PARTITION BY symbol, date_bin(INTERVAL '1 day', minute)) AS share
  FROM minutes
)
SELECT minute_of_day, avg(share) AS share FROM shares GROUP BY minute_of_day

-- R19
WITH sums AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS b,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS a
  FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
)
SELECT symbol, minute, avg((b - a) / (b + a)) AS imbalance FROM sums GROUP BY 1, 2

-- R19, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.qty_0 AS bid_qty_0, b.qty_1 AS bid_qty_1, b.qty_2 AS bid_qty_2, b.qty_3 AS bid_qty_3,
    b.qty_4 AS bid_qty_4, a.qty_0 AS ask_qty_0, a.qty_1 AS ask_qty_1, a.qty_2 AS ask_qty_2,
    a.qty_3 AS ask_qty_3, a.qty_4 AS ask_qty_4
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), sums AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS b,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS a
  FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
)
SELECT symbol, minute, avg((b - a) / (b + a)) AS imbalance FROM sums GROUP BY 1, 2

-- R20
WITH rows AS (
  SELECT seq,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
  FROM bench_book WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), depths AS (
  SELECT *,
    ask_qty_0 AS held_0,
    ask_qty_0 + ask_qty_1 AS held_1,
    ask_qty_0 + ask_qty_1 + ask_qty_2 AS held_2,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 AS held_3,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS held_4,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 AS held_5,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 AS held_6,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 AS held_7,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 AS held_8,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 + ask_qty_9 AS held_9
  FROM rows
)
SELECT seq, CASE WHEN held_9 >= ${qty} THEN (
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

-- R20, paper
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS ask_price_0, price_1 AS ask_price_1, price_2 AS ask_price_2, price_3 AS ask_price_3,
    price_4 AS ask_price_4, price_5 AS ask_price_5, price_6 AS ask_price_6, price_7 AS ask_price_7,
    price_8 AS ask_price_8, price_9 AS ask_price_9, qty_0 AS ask_qty_0, qty_1 AS ask_qty_1,
    qty_2 AS ask_qty_2, qty_3 AS ask_qty_3, qty_4 AS ask_qty_4, qty_5 AS ask_qty_5,
    qty_6 AS ask_qty_6, qty_7 AS ask_qty_7, qty_8 AS ask_qty_8, qty_9 AS ask_qty_9
  FROM bench_book WHERE side = 'ask'
), rows AS (
  SELECT seq,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
  FROM quotes WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), depths AS (
  SELECT *,
    ask_qty_0 AS held_0,
    ask_qty_0 + ask_qty_1 AS held_1,
    ask_qty_0 + ask_qty_1 + ask_qty_2 AS held_2,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 AS held_3,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS held_4,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 AS held_5,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 AS held_6,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 AS held_7,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 AS held_8,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 + ask_qty_9 AS held_9
  FROM rows
)
SELECT seq, CASE WHEN held_9 >= ${qty} THEN (
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

-- R21
WITH moves AS (
  SELECT time, bid_price_0 AS bid, bid_qty_0 AS bid_qty, ask_price_0 AS ask, ask_qty_0 AS ask_qty,
    lag(bid_price_0) OVER (ORDER BY seq) AS bid_before, lag(bid_qty_0) OVER (ORDER BY seq) AS bid_qty_before,
    lag(ask_price_0) OVER (ORDER BY seq) AS ask_before, lag(ask_qty_0) OVER (ORDER BY seq) AS ask_qty_before
  FROM bench_book WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
)
SELECT date_bin(INTERVAL '1 second', time) AS second,
  sum(CASE WHEN bid >= bid_before THEN bid_qty ELSE 0 END - CASE WHEN bid <= bid_before THEN bid_qty_before ELSE 0 END
    - CASE WHEN ask <= ask_before THEN ask_qty ELSE 0 END + CASE WHEN ask >= ask_before THEN ask_qty_before ELSE 0 END) AS flow
FROM moves WHERE bid_before IS NOT NULL GROUP BY 1

-- R21, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, b.qty_0 AS bid_qty_0, a.price_0 AS ask_price_0, a.qty_0 AS ask_qty_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), moves AS (
  SELECT time, bid_price_0 AS bid, bid_qty_0 AS bid_qty, ask_price_0 AS ask, ask_qty_0 AS ask_qty,
    lag(bid_price_0) OVER (ORDER BY seq) AS bid_before, lag(bid_qty_0) OVER (ORDER BY seq) AS bid_qty_before,
    lag(ask_price_0) OVER (ORDER BY seq) AS ask_before, lag(ask_qty_0) OVER (ORDER BY seq) AS ask_qty_before
  FROM quotes WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
)
SELECT date_bin(INTERVAL '1 second', time) AS second,
  sum(CASE WHEN bid >= bid_before THEN bid_qty ELSE 0 END - CASE WHEN bid <= bid_before THEN bid_qty_before ELSE 0 END
    - CASE WHEN ask <= ask_before THEN ask_qty ELSE 0 END + CASE WHEN ask >= ask_before THEN ask_qty_before ELSE 0 END) AS flow
FROM moves WHERE bid_before IS NOT NULL GROUP BY 1

-- R22
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS bucket, last_value(price ORDER BY seq) AS v
  FROM bench_trades WHERE time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, stddev_samp(log_return) AS deviation, count(*) AS n
FROM returns WHERE log_return IS NOT NULL GROUP BY symbol

-- R23
WITH ends AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS bucket, last_value(price ORDER BY seq) AS v
  FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT l.symbol AS a, r.symbol AS b, corr(l.log_return, r.log_return) AS correlation, count(*) AS n
FROM returns AS l JOIN returns AS r ON l.bucket = r.bucket AND l.symbol < r.symbol
WHERE l.log_return IS NOT NULL AND r.log_return IS NOT NULL
GROUP BY l.symbol, r.symbol
HAVING count(*) >= 2 AND min(l.log_return) < max(l.log_return) AND min(r.log_return) < max(r.log_return)

-- R24
SELECT seq, symbol, price, qty FROM bench_trades WHERE qty > ${qty} AND time >= ${start} AND time < ${end}

-- R25
SELECT symbol, date_bin(INTERVAL '1 hour', time) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book WHERE time >= ${start} AND time < ${end} GROUP BY 1, 2

-- R25, paper
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
)
SELECT symbol, date_bin(INTERVAL '1 hour', time) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM quotes WHERE time >= ${start} AND time < ${end} GROUP BY 1, 2

-- R26
SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(price) AS high FROM bench_trades WHERE time < ${end}
GROUP BY 1 ORDER BY 1 DESC LIMIT 5

-- R27
SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades GROUP BY symbol, venue

-- R28
WITH changes AS (
  SELECT seq, price, CASE WHEN price IS DISTINCT FROM lag(price) OVER (ORDER BY seq) THEN 1 ELSE 0 END AS starts
  FROM bench_trades WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
), runs AS (
  SELECT seq, price, sum(starts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run FROM changes
)
SELECT min(seq) AS seq, min(price) AS price, count(*) AS n FROM runs GROUP BY run HAVING count(*) >= ${length}
