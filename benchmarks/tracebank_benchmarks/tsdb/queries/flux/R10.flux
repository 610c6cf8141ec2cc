// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

rows = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "ts" or r._field == "bid_price_0" or r._field == "bid_price_1" or
      r._field == "bid_price_2" or r._field == "bid_price_3" or r._field == "bid_price_4" or r._field == "bid_price_5" or
      r._field == "bid_price_6" or r._field == "bid_price_7" or r._field == "bid_price_8" or r._field == "bid_price_9" or
      r._field == "bid_qty_0" or r._field == "bid_qty_1" or r._field == "bid_qty_2" or r._field == "bid_qty_3" or
      r._field == "bid_qty_4" or r._field == "bid_qty_5" or r._field == "bid_qty_6" or r._field == "bid_qty_7" or
      r._field == "bid_qty_8" or r._field == "bid_qty_9" or r._field == "ask_price_0" or r._field == "ask_price_1" or
      r._field == "ask_price_2" or r._field == "ask_price_3" or r._field == "ask_price_4" or r._field == "ask_price_5" or
      r._field == "ask_price_6" or r._field == "ask_price_7" or r._field == "ask_price_8" or r._field == "ask_price_9" or
      r._field == "ask_qty_0" or r._field == "ask_qty_1" or r._field == "ask_qty_2" or r._field == "ask_qty_3" or
      r._field == "ask_qty_4" or r._field == "ask_qty_5" or r._field == "ask_qty_6" or r._field == "ask_qty_7" or
      r._field == "ask_qty_8" or r._field == "ask_qty_9"
    ))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])

marks = rows |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, found: r.seq}))

asked = union(tables: [marks, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "found", usePrevious: true)
  |> filter(fn: (r) => r.later == 1 and exists r.found)
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), seq: r.found}))

join(tables: {a: asked, b: rows}, on: ["symbol", "seq"])
  |> group()
  |> keep(
    columns: [
      "symbol", "moment",
      "bid_price_0", "bid_price_1", "bid_price_2", "bid_price_3", "bid_price_4",
      "bid_price_5", "bid_price_6", "bid_price_7", "bid_price_8", "bid_price_9",
      "bid_qty_0", "bid_qty_1", "bid_qty_2", "bid_qty_3", "bid_qty_4",
      "bid_qty_5", "bid_qty_6", "bid_qty_7", "bid_qty_8", "bid_qty_9",
      "ask_price_0", "ask_price_1", "ask_price_2", "ask_price_3", "ask_price_4",
      "ask_price_5", "ask_price_6", "ask_price_7", "ask_price_8", "ask_price_9",
      "ask_qty_0", "ask_qty_1", "ask_qty_2", "ask_qty_3", "ask_qty_4",
      "ask_qty_5", "ask_qty_6", "ask_qty_7", "ask_qty_8", "ask_qty_9",
    ],
  )
