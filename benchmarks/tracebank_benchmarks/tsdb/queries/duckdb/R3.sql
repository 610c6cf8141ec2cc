SELECT symbol, max(bid_price_0) AS highest_bid
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol
