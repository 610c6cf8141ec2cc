/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  b:`seq xasc select seq,venue,bid_price_0,ask_price_0 from bench_book where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end};
  if[0=count b;:([]seq:`long$$();best_bid:`float$$();best_ask:`float$$())];
  v:distinct b`venue;
  bids:{fills ?[x=z;y;0n]}[b`venue;b`bid_price_0] each v;
  asks:{0w^fills ?[x=z;y;0n]}[b`venue;b`ask_price_0] each v;
  ([]seq:b`seq;best_bid:max bids;best_ask:min asks)}[]
