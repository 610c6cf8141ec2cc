/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select volatility:sdev log_return,n:count i by symbol from
  (update log_return:log v%prev v by symbol from
  0!select v:last price by symbol,bucket:0D00:05 xbar ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end})
  where not null log_return
