/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select last ts,last seq,last price by symbol from bench_trades
