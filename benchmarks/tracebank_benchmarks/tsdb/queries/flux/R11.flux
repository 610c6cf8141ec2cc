// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"

from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price" or r._field == "qty") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), _time: r._time, price: r.price, qty: r.qty}))
  |> group(columns: ["symbol", "minute"])
  |> sort(columns: ["_time"])
  |> reduce(
    identity: {open: 0.0, high: 0.0, low: 0.0, close: 0.0, volume: 0.0, n: 0},
    fn: (r, accumulator) => ({
      open: if accumulator.n == 0 then r.price else accumulator.open,
      high: if accumulator.n == 0 or r.price > accumulator.high then r.price else accumulator.high,
      low: if accumulator.n == 0 or r.price < accumulator.low then r.price else accumulator.low,
      close: r.price,
      volume: accumulator.volume + r.qty,
      n: accumulator.n + 1,
    })
  )
  |> group()
