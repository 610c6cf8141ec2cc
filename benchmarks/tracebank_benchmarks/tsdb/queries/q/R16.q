/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select n:count i,mean:avg price,deviation:sdev price,low:min price,high:max price
  by symbol,minute:0D00:01 xbar ts from bench_trades
  where date within `date$$(${start};${end}),venue=${venue},ts>=${start},ts<${end}
