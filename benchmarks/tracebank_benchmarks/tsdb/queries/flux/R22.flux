// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "math"

returns = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price"))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 1m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "deviation"})

sums = returns
  |> reduce(
    identity: {n: 0, squares: 0.0},
    fn: (r, accumulator) => ({n: accumulator.n + 1, squares: accumulator.squares + r._value * r._value})
  )

join(tables: {d: deviations, s: sums}, on: ["symbol"])
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, realised: math.sqrt(x: r.squares), deviation: r.deviation, n: r.n}))
