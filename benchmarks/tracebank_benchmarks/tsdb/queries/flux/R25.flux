// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, hour: date.truncate(t: r._time, unit: 1h), spread: r.ask_price_0 - r.bid_price_0}))
  |> group(columns: ["symbol", "hour"])
  |> mean(column: "spread")
  |> group()
