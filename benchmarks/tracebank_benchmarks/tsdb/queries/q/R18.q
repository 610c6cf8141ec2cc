/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  v:0!select volume:sum qty by symbol,day:`date$$ts,minute_of_day:`long$$`minute$$ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end};
  0!select share:avg share by minute_of_day from update share:volume%sum volume by symbol,day from v}[]
