// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

volumes = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "qty") and contains(value: r.symbol, set: ${symbols}))
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), volume: r._value}))
  |> group(columns: ["symbol", "minute"])
  |> sum(column: "volume")
  |> group(columns: ["symbol"])

means = volumes |> mean(column: "volume") |> rename(columns: {volume: "mean_volume"})

join(tables: {v: volumes, m: means}, on: ["symbol"])
  |> group()
  |> keep(columns: ["symbol", "minute", "volume", "mean_volume"])
