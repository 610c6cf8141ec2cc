/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select highest_bid:max bid_price_0 by symbol from bench_book
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}
