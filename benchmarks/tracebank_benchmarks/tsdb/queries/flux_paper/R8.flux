// Unrun against InfluxDB 2: no package of it was to be had where this was written.
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "math"

returns = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "volatility"})

counts = returns |> count() |> rename(columns: {_value: "n"})

join(tables: {d: deviations, c: counts}, on: ["symbol"])
  |> group()
  |> keep(columns: ["symbol", "volatility", "n"])
