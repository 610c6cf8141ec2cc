// Unrun against InfluxDB 2: no package of it was to be had where this was written.
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {n: 0.0, a: 0.0, b: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1.0,
      a: accumulator.a + r.ask_price_0 - r.bid_price_0,
      b: accumulator.b + 20000.0 * (r.ask_price_0 - r.bid_price_0) / (r.bid_price_0 + r.ask_price_0),
    })
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, spread: r.a / r.n, spread_bps: r.b / r.n}))
