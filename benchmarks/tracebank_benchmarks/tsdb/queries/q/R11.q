/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select open:first price,high:max price,low:min price,close:last price,volume:sum qty,n:count i
  by symbol,minute:0D00:01 xbar ts from bench_trades
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}
