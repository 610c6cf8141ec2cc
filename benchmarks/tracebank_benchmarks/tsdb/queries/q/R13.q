/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  m:${moments};
  r:aj[`symbol`moment;m;select symbol,moment:ts,price from bench_trades where date<=max `date$$m`moment,symbol in m`symbol];
  aj[`symbol`moment;r;select symbol,moment:ts,bid:bid_price_0,ask:ask_price_0 from bench_book where date<=max `date$$m`moment,symbol in m`symbol]}[]
