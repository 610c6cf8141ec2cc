/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select spread:avg ask_price_0-bid_price_0,
    spread_bps:1e4*avg(ask_price_0-bid_price_0)%.5*ask_price_0+bid_price_0
  by symbol from bench_book
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}
