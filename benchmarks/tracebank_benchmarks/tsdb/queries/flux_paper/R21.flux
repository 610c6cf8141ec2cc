// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

// Rows meet the ones before them by their number.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "price_0" or r._field == "qty_0") and r.symbol == ${symbol} and r.venue == ${venue})
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq"})
  |> group()
  |> sort(columns: ["seq"])
  |> map(fn: (r) => ({
    at: 1, _time: r._time, bid: r.bid_price_0, bid_qty: r.bid_qty_0, ask: r.ask_price_0, ask_qty: r.ask_qty_0,
  }))
  |> cumulativeSum(columns: ["at"])

before = rows
  |> map(fn: (r) => ({at: r.at + 1, bid_before: r.bid, bid_qty_before: r.bid_qty, ask_before: r.ask, ask_qty_before: r.ask_qty}))

join(tables: {r: rows, b: before}, on: ["at"])
  |> map(fn: (r) => ({
    second: date.truncate(t: r._time, unit: 1s),
    flow: (if r.bid >= r.bid_before then r.bid_qty else 0.0)
      - (if r.bid <= r.bid_before then r.bid_qty_before else 0.0)
      - (if r.ask <= r.ask_before then r.ask_qty else 0.0)
      + (if r.ask >= r.ask_before then r.ask_qty_before else 0.0),
  }))
  |> group(columns: ["second"])
  |> sum(column: "flow")
  |> group()
