// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "bid_qty_0" or r._field == "bid_qty_1" or r._field == "bid_qty_2" or r._field == "bid_qty_3" or
      r._field == "bid_qty_4" or r._field == "ask_qty_0" or r._field == "ask_qty_1" or r._field == "ask_qty_2" or
      r._field == "ask_qty_3" or r._field == "ask_qty_4"
    ) and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), b: r.bid_qty_0 + r.bid_qty_1 + r.bid_qty_2 + r.bid_qty_3 + r.bid_qty_4, a: r.ask_qty_0 + r.ask_qty_1 + r.ask_qty_2 + r.ask_qty_3 + r.ask_qty_4}))
  |> map(fn: (r) => ({symbol: r.symbol, minute: r.minute, imbalance: (r.b - r.a) / (r.b + r.a)}))
  |> group(columns: ["symbol", "minute"])
  |> mean(column: "imbalance")
  |> group()
