/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.

/ R1
update mean_volume:avg volume by symbol from
  0!select volume:sum qty by symbol,minute:0D00:01 xbar ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R2
0!select vwap:qty wavg price,volume:sum qty,n:count i by symbol,minute:0D00:01 xbar ts from bench_trades
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R3
0!select highest_bid:max bid_price_0 by symbol from bench_book
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R4
0!select spread:avg ask_price_0-bid_price_0,
    spread_bps:1e4*avg(ask_price_0-bid_price_0)%.5*ask_price_0+bid_price_0
  by symbol from bench_book
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R5
{[]
  b:`seq xasc select seq,venue,bid_price_0,ask_price_0 from bench_book where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end};
  if[0=count b;:([]seq:`long$$();best_bid:`float$$();best_ask:`float$$())];
  v:distinct b`venue;
  bids:{fills ?[x=z;y;0n]}[b`venue;b`bid_price_0] each v;
  asks:{0w^fills ?[x=z;y;0n]}[b`venue;b`ask_price_0] each v;
  ([]seq:b`seq;best_bid:max bids;best_ask:min asks)}[]

/ R6
select symbol,bucket,mid:v,log_return from
  update log_return:log v%prev v by symbol from
  0!select v:last .5*ask_price_0+bid_price_0 by symbol,bucket:0D00:05 xbar ts from bench_book
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R7
0!select volatility:sdev log_return,n:count i by symbol from
  (update log_return:log v%prev v by symbol from
  0!select v:last price by symbol,bucket:0D00:05 xbar ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end})
  where not null log_return

/ R8
0!select volatility:sdev log_return,n:count i by symbol from
  (update log_return:log v%prev v by symbol from
  0!select v:last .5*ask_price_0+bid_price_0 by symbol,bucket:0D00:05 xbar ts from bench_book
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end})
  where not null log_return

/ R9
select seq,ts,price,qty from bench_trades
  where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end},price>${price}

/ R10
{[]
  m:${moments};
  b:select symbol,moment:ts,seq,
    bid_price_0,bid_price_1,bid_price_2,bid_price_3,bid_price_4,
    bid_price_5,bid_price_6,bid_price_7,bid_price_8,bid_price_9,
    bid_qty_0,bid_qty_1,bid_qty_2,bid_qty_3,bid_qty_4,
    bid_qty_5,bid_qty_6,bid_qty_7,bid_qty_8,bid_qty_9,
    ask_price_0,ask_price_1,ask_price_2,ask_price_3,ask_price_4,
    ask_price_5,ask_price_6,ask_price_7,ask_price_8,ask_price_9,
    ask_qty_0,ask_qty_1,ask_qty_2,ask_qty_3,ask_qty_4,
    ask_qty_5,ask_qty_6,ask_qty_7,ask_qty_8,ask_qty_9
    from bench_book where date<=max `date$$m`moment,symbol in m`symbol;
  delete seq from select from aj[`symbol`moment;m;b] where not null seq}[]

/ R11
0!select open:first price,high:max price,low:min price,close:last price,volume:sum qty,n:count i
  by symbol,minute:0D00:01 xbar ts from bench_trades
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R12
0!select last ts,last seq,last price by symbol from bench_trades

/ R13
{[]
  m:${moments};
  r:aj[`symbol`moment;m;select symbol,moment:ts,price from bench_trades where date<=max `date$$m`moment,symbol in m`symbol];
  aj[`symbol`moment;r;select symbol,moment:ts,bid:bid_price_0,ask:ask_price_0 from bench_book where date<=max `date$$m`moment,symbol in m`symbol]}[]

/ R14
select seq,book_seq,bid,ask from aj[`symbol`ts;
  select symbol,ts,seq from bench_trades where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end};
  select symbol,ts,book_seq:seq,bid:bid_price_0,ask:ask_price_0 from bench_book where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}]

/ R15
0!select vwab:bid_qty_0 wavg bid_price_0 by symbol from bench_book
  where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R16
0!select n:count i,mean:avg price,deviation:sdev price,low:min price,high:max price
  by symbol,minute:0D00:01 xbar ts from bench_trades
  where date within `date$$(${start};${end}),venue=${venue},ts>=${start},ts<${end}

/ R17
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

/ R18
{[]
  v:0!select volume:sum qty by symbol,day:`date$$ts,minute_of_day:`long$$`minute$$ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end};
  0!select share:avg share by minute_of_day from update share:volume%sum volume by symbol,day from v}[]

/ R19
0!select imbalance:avg(b-a)%b+a by symbol,minute from
  select symbol,minute:0D00:01 xbar ts,
    b:bid_qty_0+bid_qty_1+bid_qty_2+bid_qty_3+bid_qty_4,a:ask_qty_0+ask_qty_1+ask_qty_2+ask_qty_3+ask_qty_4
    from bench_book where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end}

/ R20
{[]
  b:select from bench_book where date within `date$$(${start};${end}),symbol=${symbol},ts>=${start},ts<${end};
  p:value flip select ask_price_0,ask_price_1,ask_price_2,ask_price_3,ask_price_4,ask_price_5,ask_price_6,ask_price_7,ask_price_8,ask_price_9 from b;
  z:value flip select ask_qty_0,ask_qty_1,ask_qty_2,ask_qty_3,ask_qty_4,ask_qty_5,ask_qty_6,ask_qty_7,ask_qty_8,ask_qty_9 from b;
  c:sums z;
  taken:0|z&${qty}-c-z;
  ([]seq:b`seq;mean_price:?[${qty}<=last c;(sum taken*p)%${qty};0n])}[]

/ R21
{[]
  r:`seq xasc select seq,ts,b:bid_price_0,x:bid_qty_0,a:ask_price_0,y:ask_qty_0 from bench_book
    where date within `date$$(${start};${end}),symbol=${symbol},venue=${venue},ts>=${start},ts<${end};
  r:update pb:prev b,px:prev x,pa:prev a,py:prev y from r;
  0!select flow:sum(((b>=pb)*x)-(b<=pb)*px)+((a>=pa)*py)-(a<=pa)*y by second:0D00:00:01 xbar ts from 1_r}[]

/ R22
0!select realised:sqrt sum log_return*log_return,deviation:sdev log_return,n:count i by symbol from
  (update log_return:log v%prev v by symbol from
  0!select v:last price by symbol,bucket:0D00:01 xbar ts from bench_trades
    where date within `date$$(${start};${end}),ts>=${start},ts<${end})
  where not null log_return

/ R23
{[]
  r:select from (update log_return:log v%prev v by symbol from
  0!select v:last price by symbol,bucket:0D00:01 xbar ts from bench_trades
    where date within `date$$(${start};${end}),symbol in ${symbols},ts>=${start},ts<${end})
    where not null log_return;
  s:asc distinct r`symbol;
  p:raze{[s;i]s[i],/:(i+1)_s}[s]each til count s;
  f:{[r;p]
    j:(select bucket,x:log_return from r where symbol=p 0)ij 1!select bucket,y:log_return from r where symbol=p 1;
    if[(2>count distinct j`x)|2>count distinct j`y;:()];
    enlist`a`b`correlation`n!(p 0;p 1;j[`x]cor j`y;count j)};
  ([]a:`$$();b:`$$();correlation:`float$$();n:`long$$()),raze f[r]each p}[]

/ R24
select seq,symbol,price,qty from bench_trades
  where date within `date$$(${start};${end}),ts>=${start},ts<${end},qty>${qty}

/ R25
0!select spread:avg ask_price_0-bid_price_0 by symbol,hour:0D01 xbar ts from bench_book
  where date within `date$$(${start};${end}),ts>=${start},ts<${end}

/ R26
{[]
  t:0!select high:max price by minute:0D00:01 xbar ts from bench_trades where date<=`date${end},ts<${end};
  (neg 5&count t)#t}[]

/ R27
0!select n:count i,prices:count distinct price,highest_notional:max price*qty by symbol,venue from bench_trades

/ R28
{[]
  t:`seq xasc select seq,price from bench_trades
    where date within `date$$(${start};${end}),symbol=${symbol},venue=${venue},ts>=${start},ts<${end};
  r:0!select first seq,first price,n:count i by run:sums differ price from t;
  select seq,price,n from r where n>=${length}}[]
