// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
// As-of by carrying forward: trades stand among the book's rows, after those of their own time.
prints = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 1, seq: r.seq}))

quotes = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq", bid_ts: "ts"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({
    symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, book_seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0,
  }))

union(tables: [prints, quotes])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "book_seq", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> keep(columns: ["seq", "book_seq", "bid", "ask"])
