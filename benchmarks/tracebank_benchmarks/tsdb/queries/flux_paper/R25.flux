// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, hour: date.truncate(t: r._time, unit: 1h), spread: r.ask_price_0 - r.bid_price_0}))
  |> group(columns: ["symbol", "hour"])
  |> mean(column: "spread")
  |> group()
