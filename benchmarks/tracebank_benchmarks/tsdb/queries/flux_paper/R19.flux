// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "qty_0" or r._field == "qty_1" or r._field == "qty_2" or r._field == "qty_3" or
      r._field == "qty_4"
    ) and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), b: r.bid_qty_0 + r.bid_qty_1 + r.bid_qty_2 + r.bid_qty_3 + r.bid_qty_4, a: r.ask_qty_0 + r.ask_qty_1 + r.ask_qty_2 + r.ask_qty_3 + r.ask_qty_4}))
  |> map(fn: (r) => ({symbol: r.symbol, minute: r.minute, imbalance: (r.b - r.a) / (r.b + r.a)}))
  |> group(columns: ["symbol", "minute"])
  |> mean(column: "imbalance")
  |> group()
