// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

prints = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, price: r.price}))

quotes = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq", bid_ts: "ts"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0}))

union(tables: [prints, quotes, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "price", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), price: r.price, bid: r.bid, ask: r.ask}))
