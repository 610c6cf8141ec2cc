/ Unrun: no kdb+ licence was to be had where this was written. Lines are joined to one before they are sent.
0!select n:count i,prices:count distinct price,highest_notional:max price*qty by symbol,venue from bench_trades
