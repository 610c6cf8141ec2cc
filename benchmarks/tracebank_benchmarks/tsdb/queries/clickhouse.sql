-- R1
SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume
FROM (
    SELECT symbol, toStartOfMinute(ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, minute
)

-- R2
SELECT symbol, toStartOfMinute(ts) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count() AS n
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
-- The latest quote of every venue, carried along in a map from venue to price.
SELECT
    seq,
    arrayMax(mapValues(anyLastMap(map(venue, bid_price_0)) OVER earlier)) AS best_bid,
    arrayMin(mapValues(anyLastMap(map(venue, ask_price_0)) OVER earlier)) AS best_ask
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
WINDOW earlier AS (ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)

-- R6
-- lagInFrame gives 0 before the first row, which has no return.
SELECT symbol, bucket, mid, if(row_number() OVER earlier = 1, NULL, log(mid / lagInFrame(mid) OVER earlier)) AS log_return
FROM (
    SELECT symbol, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS bucket, argMax((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
)
WINDOW earlier AS (PARTITION BY symbol ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)

-- R7
SELECT symbol, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS volatility, count() AS n
FROM (
    SELECT
        symbol,
        if(row_number() OVER earlier = 1, NULL, log(price / lagInFrame(price) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS bucket, argMax(price, seq) AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R8
SELECT symbol, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS volatility, count() AS n
FROM (
    SELECT
        symbol,
        if(row_number() OVER earlier = 1, NULL, log(mid / lagInFrame(mid) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS bucket, argMax((bid_price_0 + ask_price_0) / 2, seq) AS mid
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, bucket
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R9
SELECT seq, ts, price, qty
FROM bench_trades
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end} AND price > ${price}

-- R10
WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    )
SELECT moments.symbol AS symbol, moments.moment AS moment, book.* EXCEPT (symbol, ts, venue, seq)
FROM moments
ASOF JOIN (
    SELECT *
    FROM bench_book
    WHERE (symbol, ts, seq) IN (
        SELECT b.symbol, max(b.ts), max(b.seq)
        FROM bench_book AS b
        ASOF JOIN moments ON b.symbol = moments.symbol AND b.ts <= moments.moment
        GROUP BY b.symbol, moments.moment
    )
) AS book ON moments.symbol = book.symbol AND moments.moment >= book.ts

-- R11
SELECT
    symbol,
    toStartOfMinute(ts) AS minute,
    argMin(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, seq) AS close,
    sum(qty) AS volume,
    count() AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R12
SELECT symbol, ts, seq, price FROM bench_trades WHERE seq IN (SELECT max(seq) FROM bench_trades GROUP BY symbol)

-- R13
WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    )
SELECT moments.symbol AS symbol, moments.moment AS moment, trade.price AS price, quote.bid AS bid, quote.ask AS ask
FROM moments
ASOF LEFT JOIN (
    SELECT rows.symbol AS symbol, max(rows.ts) AS ts, argMax(rows.price, rows.seq) AS price
    FROM bench_trades AS rows
    ASOF JOIN moments ON rows.symbol = moments.symbol AND rows.ts <= moments.moment
    GROUP BY rows.symbol, moments.moment
) AS trade ON moments.symbol = trade.symbol AND moments.moment >= trade.ts
ASOF LEFT JOIN (
    SELECT rows.symbol AS symbol, max(rows.ts) AS ts, argMax(rows.bid_price_0, rows.seq) AS bid, argMax(rows.ask_price_0, rows.seq) AS ask
    FROM bench_book AS rows
    ASOF JOIN moments ON rows.symbol = moments.symbol AND rows.ts <= moments.moment
    GROUP BY rows.symbol, moments.moment
) AS quote ON moments.symbol = quote.symbol AND moments.moment >= quote.ts
SETTINGS join_use_nulls = 1

-- R14
SELECT trade.seq AS seq, quote.book_seq AS book_seq, quote.bid AS bid, quote.ask AS ask
FROM (
    SELECT symbol, ts, seq
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS trade
ASOF LEFT JOIN (
    SELECT symbol, ts, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    ORDER BY symbol, ts, seq DESC
    LIMIT 1 BY symbol, ts
) AS quote ON trade.symbol = quote.symbol AND trade.ts >= quote.ts
SETTINGS join_use_nulls = 1

-- R15
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol

-- R16
SELECT
    symbol,
    toStartOfMinute(ts) AS minute,
    count() AS n,
    avg(price) AS mean,
    if(n > 1, stddevSampStable(price), NULL) AS deviation,
    min(price) AS low,
    max(price) AS high
FROM bench_trades
WHERE venue = ${venue} AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute

-- R17
WITH
    asked AS (SELECT symbol, seq, qty FROM bench_trades WHERE seq IN (${seqs})),
    running AS (
        SELECT symbol, seq, ts, price, qty, sum(qty) OVER (PARTITION BY symbol ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS traded,
        sum(price * qty) OVER (PARTITION BY symbol ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS paid
        FROM bench_trades
        WHERE symbol IN (SELECT symbol FROM asked) AND seq >= (SELECT min(seq) FROM asked) AND ts < ${end}
    ),
    targets AS (
        SELECT asked.symbol AS symbol, asked.seq AS seq, arrayJoin([2, 4, 20]) AS multiple, running.traded AS before, running.paid AS paid_before,
            running.traded + multiple * asked.qty AS target
        FROM asked LEFT JOIN running ON asked.seq = running.seq
    )
SELECT targets.seq AS seq, targets.multiple AS multiple, running.ts AS reached, (running.paid - targets.paid_before) / (running.traded - targets.before) AS vwap
FROM targets
ASOF LEFT JOIN running ON targets.symbol = running.symbol AND targets.target <= running.traded
SETTINGS join_use_nulls = 1

-- R18
SELECT minute_of_day, avg(volume / day_volume) AS share
FROM (
    SELECT
        toHour(ts) * 60 + toMinute(ts) AS minute_of_day,
        sum(qty) AS volume,
        sum(volume) OVER (PARTITION BY symbol, toDate32(ts)) AS day_volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, toDate32(ts), minute_of_day
)
GROUP BY minute_of_day

-- R19
SELECT symbol, minute, avg((bids - asks) / (bids + asks)) AS imbalance
FROM (
    SELECT
        symbol,
        toStartOfMinute(ts) AS minute,
        bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids,
        ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
GROUP BY symbol, minute

-- R20
WITH
    [
        ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
        ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9
    ] AS prices,
    [
        ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
        ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
    ] AS quantities,
    arrayCumSum(quantities) AS depths
SELECT
    seq,
    if(
        depths[10] >= ${qty},
        arraySum((price, held, depth) -> price * greatest(least(held, ${qty} - (depth - held)), 0), prices, quantities, depths)
        / ${qty},
        NULL
    ) AS mean_price
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}

-- R21
SELECT toStartOfSecond(ts) AS second, sum(flow) AS flow
FROM (
    SELECT
        ts,
        row_number() OVER earlier AS place,
        lagInFrame(bid_price_0) OVER earlier AS bid_before,
        lagInFrame(bid_qty_0) OVER earlier AS bid_qty_before,
        lagInFrame(ask_price_0) OVER earlier AS ask_before,
        lagInFrame(ask_qty_0) OVER earlier AS ask_qty_before,
        if(bid_price_0 >= bid_before, bid_qty_0, 0) - if(bid_price_0 <= bid_before, bid_qty_before, 0)
        - if(ask_price_0 <= ask_before, ask_qty_0, 0) + if(ask_price_0 >= ask_before, ask_qty_before, 0) AS flow
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE place > 1
GROUP BY second

-- R22
SELECT symbol, sqrt(sum(log_return * log_return)) AS realised, if(count() > 1, stddevSampStable(assumeNotNull(log_return)), NULL) AS deviation, count() AS n
FROM (
    SELECT
        symbol,
        if(row_number() OVER earlier = 1, NULL, log(price / lagInFrame(price) OVER earlier)) AS log_return
    FROM (
        SELECT symbol, toStartOfMinute(ts) AS minute, argMax(price, seq) AS price
        FROM bench_trades
        WHERE ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    )
    WINDOW earlier AS (PARTITION BY symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE log_return IS NOT NULL
GROUP BY symbol

-- R23
WITH returns AS (
    SELECT symbol, minute, log_return
    FROM (
        SELECT
            symbol,
            minute,
            row_number() OVER earlier AS place,
            log(price / lagInFrame(price) OVER earlier) AS log_return
        FROM (
            SELECT symbol, toStartOfMinute(ts) AS minute, argMax(price, seq) AS price
            FROM bench_trades
            WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
            GROUP BY symbol, minute
        )
        WINDOW earlier AS (PARTITION BY symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
    WHERE place > 1
)
SELECT one.symbol AS a, other.symbol AS b, corrStable(one.log_return, other.log_return) AS correlation, count() AS n
FROM returns AS one
JOIN returns AS other ON one.minute = other.minute
WHERE one.symbol < other.symbol
GROUP BY a, b
HAVING n > 1 AND min(one.log_return) < max(one.log_return) AND min(other.log_return) < max(other.log_return)

-- R24
SELECT seq, symbol, price, qty
FROM bench_trades
WHERE ts >= ${start} AND ts < ${end} AND qty > ${qty}

-- R25
SELECT symbol, toStartOfHour(ts) AS hour, avg(ask_price_0 - bid_price_0) AS spread
FROM bench_book
WHERE ts >= ${start} AND ts < ${end}
GROUP BY symbol, hour

-- R26
SELECT toStartOfMinute(ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end}
GROUP BY minute
ORDER BY minute DESC
LIMIT 5

-- R27
SELECT symbol, venue, count() AS n, uniqExact(price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue

-- R28
SELECT min(runs.seq) AS seq, any(runs.price) AS price, count() AS n
FROM (
    SELECT seq, price, sum(starts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM (
        SELECT seq, price, row_number() OVER earlier = 1 OR price != lagInFrame(price) OVER earlier AS starts
        FROM bench_trades
        WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
        WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
) AS runs
GROUP BY run
HAVING n >= ${length}
