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
