// Unrun against InfluxDB 2: no package of it was to be had where this was written.
from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price" or r._field == "qty") and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> filter(fn: (r) => r.price > ${price})
  |> map(fn: (r) => ({seq: r.seq, ts: time(v: r.ts), price: r.price, qty: r.qty}))
