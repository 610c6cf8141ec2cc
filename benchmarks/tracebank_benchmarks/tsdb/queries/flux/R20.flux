// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "math"
import "internal/debug"

wanted = float(v: ${qty})

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "ask_price_0" or r._field == "ask_price_1" or r._field == "ask_price_2" or
      r._field == "ask_price_3" or r._field == "ask_price_4" or r._field == "ask_price_5" or r._field == "ask_price_6" or
      r._field == "ask_price_7" or r._field == "ask_price_8" or r._field == "ask_price_9" or r._field == "ask_qty_0" or
      r._field == "ask_qty_1" or r._field == "ask_qty_2" or r._field == "ask_qty_3" or r._field == "ask_qty_4" or
      r._field == "ask_qty_5" or r._field == "ask_qty_6" or r._field == "ask_qty_7" or r._field == "ask_qty_8" or
      r._field == "ask_qty_9"
    ) and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> map(fn: (r) => ({r with held: 0.0, paid: 0.0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_0, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_0, y: wanted - r.held)) * r.ask_price_0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_1, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_1, y: wanted - r.held)) * r.ask_price_1}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_2, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_2, y: wanted - r.held)) * r.ask_price_2}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_3, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_3, y: wanted - r.held)) * r.ask_price_3}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_4, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_4, y: wanted - r.held)) * r.ask_price_4}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_5, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_5, y: wanted - r.held)) * r.ask_price_5}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_6, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_6, y: wanted - r.held)) * r.ask_price_6}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_7, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_7, y: wanted - r.held)) * r.ask_price_7}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_8, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_8, y: wanted - r.held)) * r.ask_price_8}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_9, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_9, y: wanted - r.held)) * r.ask_price_9}))
  |> map(fn: (r) => ({seq: r.seq, mean_price: if r.held >= wanted then r.paid / wanted else debug.null(type: "float")}))
