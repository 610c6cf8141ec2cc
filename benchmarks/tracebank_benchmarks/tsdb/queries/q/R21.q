/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  r:`seq xasc select seq,ts,b:bid_price_0,x:bid_qty_0,a:ask_price_0,y:ask_qty_0 from bench_book
    where date within `date$$(${start};${end}),symbol=${symbol},venue=${venue},ts>=${start},ts<${end};
  r:update pb:prev b,px:prev x,pa:prev a,py:prev y from r;
  0!select flow:sum(((b>=pb)*x)-(b<=pb)*px)+((a>=pa)*py)-(a<=pa)*y by second:0D00:00:01 xbar ts from 1_r}[]
