// Unrun against InfluxDB 2: no package of it was to be had where this was written.
rows = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price" or r._field == "qty"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol", "venue"])

prices = rows
  |> unique(column: "price")
  |> count(column: "price")
  |> rename(columns: {price: "prices"})

sums = rows
  |> reduce(
    identity: {n: 0, highest_notional: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1,
      highest_notional: if accumulator.n == 0 or r.price * r.qty > accumulator.highest_notional then
        r.price * r.qty
      else
        accumulator.highest_notional,
    })
  )

join(tables: {p: prices, s: sums}, on: ["symbol", "venue"])
  |> group()
  |> keep(columns: ["symbol", "venue", "n", "prices", "highest_notional"])
