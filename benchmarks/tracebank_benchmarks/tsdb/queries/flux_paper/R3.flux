// Unrun against InfluxDB 2: no package of it was to be had where this was written.
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and r.side == "bid" and contains(value: r.symbol, set: ${symbols}))
  |> group(columns: ["symbol"])
  |> max()
  |> group()
  |> rename(columns: {_value: "highest_bid"})
  |> keep(columns: ["symbol", "highest_bid"])
