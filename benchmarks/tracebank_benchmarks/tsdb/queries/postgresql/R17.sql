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
