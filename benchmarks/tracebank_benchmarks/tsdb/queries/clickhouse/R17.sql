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
