// Unrun against InfluxDB 2: no package of it was to be had where this was written.
from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "price") and r.symbol == ${symbol} and r.venue == ${venue})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> sort(columns: ["seq"])
  |> map(fn: (r) => ({seq: r.seq, price: r.price, step: r.price}))
  |> difference(columns: ["step"], keepFirst: true)
  |> map(fn: (r) => ({seq: r.seq, price: r.price, run: if exists r.step and r.step == 0.0 then 0 else 1}))
  |> cumulativeSum(columns: ["run"])
  |> group(columns: ["run"])
  |> reduce(
    identity: {seq: 0, price: 0.0, n: 0},
    fn: (r, accumulator) => ({
      seq: if accumulator.n == 0 then r.seq else accumulator.seq,
      price: r.price,
      n: accumulator.n + 1,
    })
  )
  |> filter(fn: (r) => r.n >= ${length})
  |> group()
  |> keep(columns: ["seq", "price", "n"])
