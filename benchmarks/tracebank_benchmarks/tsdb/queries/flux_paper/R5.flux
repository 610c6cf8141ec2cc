// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "internal/debug"

// Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "price_0") and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, seq: r.seq, venue: r.venue, bid: r.bid_price_0, ask: r.ask_price_0}))

venues = rows
  |> distinct(column: "venue")
  |> rename(columns: {_value: "other"})

join(tables: {r: rows, v: venues}, on: ["symbol"])
  |> map(fn: (r) => ({
    seq: r.seq,
    other: r.other,
    bid: if r.venue == r.other then r.bid else debug.null(type: "float"),
    ask: if r.venue == r.other then r.ask else debug.null(type: "float"),
  }))
  |> group(columns: ["other"])
  |> sort(columns: ["seq"])
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> group(columns: ["seq"])
  |> reduce(
    identity: {best_bid: float(v: "-1e308"), best_ask: float(v: "1e308")},
    fn: (r, accumulator) => ({
      best_bid: if exists r.bid and r.bid > accumulator.best_bid then r.bid else accumulator.best_bid,
      best_ask: if exists r.ask and r.ask < accumulator.best_ask then r.ask else accumulator.best_ask,
    })
  )
  |> group()
  |> keep(columns: ["seq", "best_bid", "best_ask"])
