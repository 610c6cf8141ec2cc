/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select spread:avg ask_price_0-bid_price_0 by symbol,hour:0D01 xbar ts from bench_book
  where date within `date$$(${start};${end}),ts>=${start},ts<${end}
