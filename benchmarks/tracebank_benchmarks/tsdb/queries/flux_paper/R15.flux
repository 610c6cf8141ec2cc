// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0" or r._field == "qty_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {paid: 0.0, qty: 0.0},
    fn: (r, accumulator) => ({paid: accumulator.paid + r.bid_price_0 * r.bid_qty_0, qty: accumulator.qty + r.bid_qty_0})
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, vwab: r.paid / r.qty}))
