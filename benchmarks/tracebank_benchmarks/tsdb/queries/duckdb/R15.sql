SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol
