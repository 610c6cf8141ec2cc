// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "math"

returns = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price") and contains(value: r.symbol, set: ${symbols}))
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
