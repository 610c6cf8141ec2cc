/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select imbalance:avg(b-a)%b+a by symbol,minute from
  select symbol,minute:0D00:01 xbar ts,
    b:bid_qty_0+bid_qty_1+bid_qty_2+bid_qty_3+bid_qty_4,a:ask_qty_0+ask_qty_1+ask_qty_2+ask_qty_3+ask_qty_4
    from bench_book where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}
