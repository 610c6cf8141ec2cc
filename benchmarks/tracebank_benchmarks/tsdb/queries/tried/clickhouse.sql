-- R9: PREWHERE on the price
SELECT seq, ts, price, qty FROM bench_trades PREWHERE price > ${price} WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}

-- R9: no PREWHERE
SELECT seq, ts, price, qty FROM bench_trades WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end} AND price > ${price} SETTINGS optimize_move_to_prewhere = 0

-- R10: a row a time stamp, then as-of
-- The join finds the row's seq over narrow columns, one row a time stamp; the forty levels are read of those rows only.
WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    ),
    latest AS (
        SELECT moments.symbol AS symbol, moments.moment AS moment, book.seq AS seq
        FROM moments
        ASOF JOIN (
            SELECT b.symbol AS symbol, b.ts AS ts, max(b.seq) AS seq
            FROM bench_book AS b
            WHERE b.symbol IN (SELECT symbol FROM moments) AND b.ts <= (SELECT max(moment) FROM moments)
            GROUP BY b.symbol, b.ts
        ) AS book ON moments.symbol = book.symbol AND moments.moment >= book.ts
    )
SELECT
    latest.symbol AS symbol,
    latest.moment AS moment,
    book.bid_price_0, book.bid_price_1, book.bid_price_2, book.bid_price_3, book.bid_price_4,
    book.bid_price_5, book.bid_price_6, book.bid_price_7, book.bid_price_8, book.bid_price_9,
    book.bid_qty_0, book.bid_qty_1, book.bid_qty_2, book.bid_qty_3, book.bid_qty_4,
    book.bid_qty_5, book.bid_qty_6, book.bid_qty_7, book.bid_qty_8, book.bid_qty_9,
    book.ask_price_0, book.ask_price_1, book.ask_price_2, book.ask_price_3, book.ask_price_4,
    book.ask_price_5, book.ask_price_6, book.ask_price_7, book.ask_price_8, book.ask_price_9,
    book.ask_qty_0, book.ask_qty_1, book.ask_qty_2, book.ask_qty_3, book.ask_qty_4,
    book.ask_qty_5, book.ask_qty_6, book.ask_qty_7, book.ask_qty_8, book.ask_qty_9
FROM latest
JOIN (
    SELECT * FROM bench_book WHERE symbol IN (SELECT symbol FROM latest) AND seq IN (SELECT seq FROM latest)
) AS book ON latest.seq = book.seq

-- R12: argMax
SELECT t.symbol AS symbol, argMax(t.ts, t.seq) AS ts, max(t.seq) AS seq, argMax(t.price, t.seq) AS price
FROM bench_trades AS t
GROUP BY t.symbol

-- R12: LIMIT 1 BY
SELECT symbol, ts, seq, price FROM bench_trades ORDER BY symbol, ts DESC, seq DESC LIMIT 1 BY symbol

-- R12: by time, then the rows
SELECT symbol, ts, seq, price FROM bench_trades WHERE (symbol, ts) IN (SELECT symbol, max(ts) FROM bench_trades GROUP BY symbol) ORDER BY seq DESC LIMIT 1 BY symbol

-- R13: a row a time stamp, then as-of
WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    )
SELECT moments.symbol AS symbol, moments.moment AS moment, trade.price AS price, quote.bid AS bid, quote.ask AS ask
FROM moments
ASOF LEFT JOIN (
    SELECT symbol, ts, argMax(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
) AS trade ON moments.symbol = trade.symbol AND moments.moment >= trade.ts
ASOF LEFT JOIN (
    SELECT symbol, ts, argMax(bid_price_0, seq) AS bid, argMax(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
) AS quote ON moments.symbol = quote.symbol AND moments.moment >= quote.ts
SETTINGS join_use_nulls = 1

-- R14: a row a time stamp by GROUP BY
-- The right side has one row a symbol and time stamp: which of several an as-of join takes is not defined.
SELECT trade.seq AS seq, quote.book_seq AS book_seq, quote.bid AS bid, quote.ask AS ask
FROM (
    SELECT symbol, ts, seq
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS trade
ASOF LEFT JOIN (
    SELECT symbol, ts, max(seq) AS book_seq, argMax(bid_price_0, seq) AS bid, argMax(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
) AS quote ON trade.symbol = quote.symbol AND trade.ts >= quote.ts
SETTINGS join_use_nulls = 1

-- R14: grouped in key order
SELECT trade.seq AS seq, quote.book_seq AS book_seq, quote.bid AS bid, quote.ask AS ask
FROM (
    SELECT symbol, ts, seq
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS trade
ASOF LEFT JOIN (
    SELECT symbol, ts, max(seq) AS book_seq, argMax(bid_price_0, seq) AS bid, argMax(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
) AS quote ON trade.symbol = quote.symbol AND trade.ts >= quote.ts
SETTINGS join_use_nulls = 1, optimize_aggregation_in_order = 1

-- R14: as-of on seq within the microsecond
SELECT trade.seq AS seq, quote.book_seq AS book_seq, quote.bid AS bid, quote.ask AS ask
FROM (
    SELECT symbol, toInt128(toUnixTimestamp64Nano(ts)) * 1000000000000 + 999999999999 AS place, seq
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS trade
ASOF LEFT JOIN (
    SELECT symbol, toInt128(toUnixTimestamp64Nano(ts)) * 1000000000000 + seq AS place, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS quote ON trade.symbol = quote.symbol AND trade.place >= quote.place
SETTINGS join_use_nulls = 1

-- R17: every asked trade joined with all later ones
WITH
    asked AS (
        SELECT symbol, seq, qty FROM bench_trades WHERE seq IN (${seqs})
    ),
    running AS (
        SELECT
            asked.seq AS asked_seq,
            asked.qty AS asked_qty,
            later.seq AS later_seq,
            later.ts AS later_ts,
            sum(later.qty) OVER sofar AS traded,
            sum(later.price * later.qty) OVER sofar AS paid
        FROM asked
        JOIN (
            SELECT symbol, seq, ts, price, qty
            FROM bench_trades
            WHERE symbol IN (SELECT symbol FROM asked) AND seq > (SELECT min(seq) FROM asked) AND ts < ${end}
        ) AS later ON asked.symbol = later.symbol
        WHERE later.seq > asked.seq
        WINDOW sofar AS (PARTITION BY asked.seq ORDER BY later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ),
    hits AS (
        SELECT
            asked_seq,
            multiple,
            argMin(later_ts, later_seq) AS reached,
            argMin(paid / traded, later_seq) AS vwap
        FROM running
        ARRAY JOIN [2, 4, 20] AS multiple
        WHERE traded >= multiple * asked_qty
        GROUP BY asked_seq, multiple
    )
SELECT questions.seq AS seq, questions.multiple AS multiple, hits.reached AS reached, hits.vwap AS vwap
FROM (SELECT seq, arrayJoin([2, 4, 20]) AS multiple FROM asked) AS questions
LEFT JOIN hits ON questions.seq = hits.asked_seq AND questions.multiple = hits.multiple
SETTINGS join_use_nulls = 1

-- R19: minutes by integers
SELECT
    symbol,
    toDateTime(intDiv(toUnixTimestamp64Nano(ts), 60000000000) * 60, 'UTC') AS minute,
    avg((bids - asks) / (bids + asks)) AS imbalance
FROM (SELECT symbol, ts, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids, ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
FROM bench_book WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end})
GROUP BY symbol, minute

-- R19: PREWHERE off
SELECT symbol, toStartOfMinute(ts) AS minute, avg((bids - asks) / (bids + asks)) AS imbalance
FROM (SELECT symbol, ts, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids, ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
FROM bench_book WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end})
GROUP BY symbol, minute
SETTINGS optimize_move_to_prewhere = 0

-- R21: neighbours by arrays
SELECT second, sum(flow) AS flow
FROM (
    SELECT arraySort(groupArray((seq, ts, bid_price_0, bid_qty_0, ask_price_0, ask_qty_0))) AS rows
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
)
ARRAY JOIN
    arrayMap(r -> toStartOfSecond(r.2), arrayPopFront(rows)) AS second,
    arrayMap((r, b) -> if(r.3 >= b.3, r.4, 0) - if(r.3 <= b.3, b.4, 0) - if(r.5 <= b.5, r.6, 0) + if(r.5 >= b.5, b.6, 0), arrayPopFront(rows), arrayPopBack(rows)) AS flow
GROUP BY second

-- R21: one neighbour as a tuple
SELECT toStartOfSecond(ts) AS second, sum(flow) AS flow
FROM (
    SELECT
        ts,
        lagInFrame((seq, bid_price_0, bid_qty_0, ask_price_0, ask_qty_0)) OVER earlier AS b,
        if(bid_price_0 >= b.2, bid_qty_0, 0) - if(bid_price_0 <= b.2, b.3, 0) - if(ask_price_0 <= b.4, ask_qty_0, 0) + if(ask_price_0 >= b.4, b.5, 0) AS flow
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW earlier AS (ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
WHERE b.1 > 0
GROUP BY second

-- R22: returns by arrays
SELECT symbol, sqrt(arraySum(r -> r * r, returns)) AS realised, if(n > 1, arrayReduce('stddevSampStable', returns), NULL) AS deviation, length(returns) AS n
FROM (
    SELECT symbol, arrayMap(e -> log(e.2), arraySort(groupArray((minute, price)))) AS logs, arrayPopFront(arrayDifference(logs)) AS returns
    FROM (
        SELECT symbol, toStartOfMinute(ts) AS minute, argMax(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    )
    GROUP BY symbol
)
WHERE length(returns) > 0

-- R22: minutes by integers
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS deviation, count() AS n
FROM (
    SELECT symbol, if(row_number() OVER earlier = 1, NULL, log(price / lagInFrame(price) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, intDiv(toUnixTimestamp64Nano(ts), 60000000000) AS minute, argMax(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R24: PREWHERE on the quantity
SELECT seq, symbol, price, qty FROM bench_trades PREWHERE qty > ${qty} WHERE ts >= ${start} AND ts < ${end}

-- R24: no PREWHERE
SELECT seq, symbol, price, qty FROM bench_trades WHERE qty > ${qty} AND ts >= ${start} AND ts < ${end} SETTINGS optimize_move_to_prewhere = 0

-- R10: granules of 1,024 rows, blocks of 8 to 16 KB
-- with: CREATE TABLE book_fine AS bench_book ENGINE = MergeTree PARTITION BY toDate32(ts) ORDER BY (symbol, ts, seq) SETTINGS index_granularity = 1024, min_compress_block_size = 8192, max_compress_block_size = 16384
-- with: INSERT INTO book_fine SELECT * FROM bench_book
-- with: OPTIMIZE TABLE book_fine FINAL
-- with: EXCHANGE TABLES bench_book AND book_fine
-- without: EXCHANGE TABLES bench_book AND book_fine
-- without: DROP TABLE book_fine SYNC

-- R10: granules of 1,024 rows
-- with: CREATE TABLE book_fine AS bench_book ENGINE = MergeTree PARTITION BY toDate32(ts) ORDER BY (symbol, ts, seq) SETTINGS index_granularity = 1024
-- with: INSERT INTO book_fine SELECT * FROM bench_book
-- with: OPTIMIZE TABLE book_fine FINAL
-- with: EXCHANGE TABLES bench_book AND book_fine
-- without: EXCHANGE TABLES bench_book AND book_fine
-- without: DROP TABLE book_fine SYNC

-- R12: a projection that has the answer ready
-- with: ALTER TABLE bench_trades ADD PROJECTION latest (SELECT symbol, argMax(ts, seq), max(seq), argMax(price, seq) GROUP BY symbol)
-- with: ALTER TABLE bench_trades MATERIALIZE PROJECTION latest SETTINGS mutations_sync = 1
-- without: ALTER TABLE bench_trades DROP PROJECTION latest SETTINGS mutations_sync = 1
SELECT t.symbol AS symbol, argMax(t.ts, t.seq) AS ts, max(t.seq) AS seq, argMax(t.price, t.seq) AS price
FROM bench_trades AS t
GROUP BY t.symbol

-- R24: skip index on the quantity
-- with: ALTER TABLE bench_trades ADD INDEX sizes qty TYPE minmax GRANULARITY 1
-- with: ALTER TABLE bench_trades MATERIALIZE INDEX sizes SETTINGS mutations_sync = 1
-- without: ALTER TABLE bench_trades DROP INDEX sizes SETTINGS mutations_sync = 1
