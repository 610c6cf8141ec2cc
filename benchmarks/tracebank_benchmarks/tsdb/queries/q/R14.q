/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
select seq,book_seq,bid,ask from aj[`symbol`ts;
  select symbol,ts,seq from bench_trades where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end};
  select symbol,ts,book_seq:seq,bid:bid_price_0,ask:ask_price_0 from bench_book where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}]
