// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

prices = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price") and r.venue == ${venue})
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), _value: r._value}))
  |> group(columns: ["symbol", "minute"])

deviations = prices |> stddev(mode: "sample") |> rename(columns: {_value: "deviation"})

sums = prices
  |> reduce(
    identity: {n: 0, total: 0.0, low: 0.0, high: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1,
      total: accumulator.total + r._value,
      low: if accumulator.n == 0 or r._value < accumulator.low then r._value else accumulator.low,
      high: if accumulator.n == 0 or r._value > accumulator.high then r._value else accumulator.high,
    })
  )

join(tables: {d: deviations, s: sums}, on: ["symbol", "minute"])
  |> group()
  |> map(fn: (r) => ({
    symbol: r.symbol, minute: r.minute, n: r.n, mean: r.total / float(v: r.n), deviation: r.deviation, low: r.low, high: r.high,
  }))
