/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
select seq,symbol,price,qty from bench_trades
  where date within `date$$(${start};${end}),ts>=${start},ts<${end},qty>${qty}
