// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

from(bucket: bench)
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0"))
  |> pivot(rowKey: ["_time", "symbol", "venue"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: r.ask_price_0 - r.bid_price_0}))
  |> group(columns: ["symbol"])
  |> aggregateWindow(every: 1h, fn: mean, createEmpty: false, timeSrc: "_start")
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, hour: date.truncate(t: r._time, unit: 1h), spread: r._value}))
