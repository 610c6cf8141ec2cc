/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
{[]
  t:0!select high:max price by minute:0D00:01 xbar ts from bench_trades where date<=`date${end},ts<${end};
  (neg 5&count t)#t}[]
