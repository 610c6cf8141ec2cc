/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  s:${seqs};
  a:select ts,symbol,seq,price,qty from bench_trades where symbol in exec distinct symbol from bench_trades where seq in s;
  t:select from a where ts<${end};
  f:{[a;t;s]
    r:first select from a where seq=s;
    l:`seq xasc select ts,price,qty from t where symbol=r`symbol,seq>s;
    c:sums l`qty;
    v:(sums l[`qty]*l`price)%c;
    k:c binr 2 4 20*r`qty;
    ([]seq:3#s;multiple:2 4 20;reached:l[`ts]k;vwap:v k)};
  raze f[a;t] each s}[]
