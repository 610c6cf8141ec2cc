// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price" or r._field == "qty") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), price: r.price, qty: r.qty}))
  |> group(columns: ["symbol", "minute"])
  |> reduce(
    identity: {paid: 0.0, volume: 0.0, n: 0},
    fn: (r, accumulator) => ({
      paid: accumulator.paid + r.price * r.qty,
      volume: accumulator.volume + r.qty,
      n: accumulator.n + 1,
    })
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, minute: r.minute, vwap: r.paid / r.volume, volume: r.volume, n: r.n}))
