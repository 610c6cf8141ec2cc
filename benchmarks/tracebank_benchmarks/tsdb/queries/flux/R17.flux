// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "array"
import "join"

trades = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price" or r._field == "qty"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, seq: r.seq, ts: r.ts, price: r.price, qty: r.qty}))

// A trade that is asked about may be at or after the end.
asked = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "qty"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> filter(fn: (r) => contains(value: r.seq, set: ${seqs}))
  |> map(fn: (r) => ({symbol: r.symbol, asked: r.seq, size: r.qty}))

running = join(tables: {a: asked, t: trades}, on: ["symbol"])
  |> filter(fn: (r) => r.seq > r.asked)
  |> map(fn: (r) => ({asked: r.asked, size: r.size, seq: r.seq, ts: r.ts, traded: r.qty, paid: r.price * r.qty}))
  |> group(columns: ["asked"])
  |> sort(columns: ["seq"])
  |> cumulativeSum(columns: ["traded", "paid"])

reached = (multiple) => running
  |> filter(fn: (r) => r.traded >= float(v: multiple) * r.size)
  |> first(column: "seq")
  |> map(fn: (r) => ({seq: r.asked, multiple: multiple, reached: time(v: r.ts), vwap: r.paid / r.traded}))

cases = (multiple) => asked
  |> map(fn: (r) => ({seq: r.asked, multiple: multiple}))

join.left(
  left: union(tables: [cases(multiple: 2), cases(multiple: 4), cases(multiple: 20)]) |> group(),
  right: union(tables: [reached(multiple: 2), reached(multiple: 4), reached(multiple: 20)]) |> group(),
  on: (l, r) => l.seq == r.seq and l.multiple == r.multiple,
  as: (l, r) => ({seq: l.seq, multiple: l.multiple, reached: r.reached, vwap: r.vwap}),
)
