/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
select seq,ts,price,qty from bench_trades
  where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end},price>${price}
