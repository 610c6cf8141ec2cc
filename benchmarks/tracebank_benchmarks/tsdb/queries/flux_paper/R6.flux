// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"
import "math"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({
    symbol: r.symbol,
    bucket: date.truncate(t: r._time, unit: 5m),
    mid: r._value,
    log_return: math.log(x: r._value),
  }))
  |> difference(columns: ["log_return"], keepFirst: true)
  |> group()
