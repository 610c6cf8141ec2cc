// Unrun against InfluxDB 2: no package of it was to be had where this was written.
import "date"
import "math"

// pearsonr() takes one pair of series; here are all pairs at once.
returns = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price") and contains(value: r.symbol, set: ${symbols}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 1m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, bucket: date.truncate(t: r._time, unit: 1m), v: math.log(x: r._value)}))
  |> difference(columns: ["v"])
  |> group(columns: ["bucket"])

one = returns |> rename(columns: {symbol: "a", v: "x"})

other = returns |> rename(columns: {symbol: "b", v: "y"})

join(tables: {one: one, other: other}, on: ["bucket"])
  |> filter(fn: (r) => r.a < r.b)
  |> group(columns: ["a", "b"])
  |> reduce(
    identity: {n: 0, x: 0.0, y: 0.0, xx: 0.0, yy: 0.0, xy: 0.0, low_x: 0.0, high_x: 0.0, low_y: 0.0, high_y: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1,
      x: accumulator.x + r.x,
      y: accumulator.y + r.y,
      xx: accumulator.xx + r.x * r.x,
      yy: accumulator.yy + r.y * r.y,
      xy: accumulator.xy + r.x * r.y,
      low_x: if accumulator.n == 0 or r.x < accumulator.low_x then r.x else accumulator.low_x,
      high_x: if accumulator.n == 0 or r.x > accumulator.high_x then r.x else accumulator.high_x,
      low_y: if accumulator.n == 0 or r.y < accumulator.low_y then r.y else accumulator.low_y,
      high_y: if accumulator.n == 0 or r.y > accumulator.high_y then r.y else accumulator.high_y,
    })
  )
  |> filter(fn: (r) => r.n >= 2 and r.low_x < r.high_x and r.low_y < r.high_y)
  |> group()
  |> map(fn: (r) => ({
    a: r.a,
    b: r.b,
    correlation: (r.xy - r.x * r.y / float(v: r.n))
      / math.sqrt(x: (r.xx - r.x * r.x / float(v: r.n)) * (r.yy - r.y * r.y / float(v: r.n))),
    n: r.n,
  }))
