/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
select symbol,bucket,mid:v,log_return from
  update log_return:log v%prev v by symbol from
  0!select v:last .5*ask_price_0+bid_price_0 by symbol,bucket:0D00:05 xbar ts from bench_book
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}
