// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

volumes = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "qty") and contains(value: r.symbol, set: ${symbols}))
  |> map(fn: (r) => ({
    symbol: r.symbol, day: date.truncate(t: r._time, unit: 1d), minute: date.truncate(t: r._time, unit: 1m), volume: r._value,
  }))
  |> group(columns: ["symbol", "day", "minute"])
  |> sum(column: "volume")
  |> group(columns: ["symbol", "day"])

days = volumes |> sum(column: "volume") |> rename(columns: {volume: "whole"})

join(tables: {v: volumes, d: days}, on: ["symbol", "day"])
  |> map(fn: (r) => ({minute_of_day: (int(v: r.minute) - int(v: r.day)) / 60000000000, share: r.volume / r.whole}))
  |> group(columns: ["minute_of_day"])
  |> mean(column: "share")
  |> group()
