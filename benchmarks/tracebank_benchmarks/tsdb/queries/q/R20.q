/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  b:select from bench_book where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end};
  p:value flip select ask_price_0,ask_price_1,ask_price_2,ask_price_3,ask_price_4,ask_price_5,ask_price_6,ask_price_7,ask_price_8,ask_price_9 from b;
  z:value flip select ask_qty_0,ask_qty_1,ask_qty_2,ask_qty_3,ask_qty_4,ask_qty_5,ask_qty_6,ask_qty_7,ask_qty_8,ask_qty_9 from b;
  c:sums z;
  taken:0|z&${qty}-c-z;
  ([]seq:b`seq;mean_price:?[${qty}<=last c;(sum taken*p)%${qty};0n])}[]
