/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
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
