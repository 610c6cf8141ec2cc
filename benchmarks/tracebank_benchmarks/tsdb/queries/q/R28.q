/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  t:`seq xasc select seq,price from bench_trades
    where date within `date$$(${start};${end}),symbol=${symbol},venue=${venue},ts>=${start},ts<${end};
  r:0!select first seq,first price,n:count i by run:sums differ price from t;
  select seq,price,n from r where n>=${length}}[]
