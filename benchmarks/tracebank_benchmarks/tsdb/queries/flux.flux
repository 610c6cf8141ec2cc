// Unrun against InfluxDB 2: no package of it was to be had where this was written.

// R1
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

// R2
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

// R3
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> group(columns: ["symbol"])
  |> max()
  |> group()
  |> rename(columns: {_value: "highest_bid"})
  |> keep(columns: ["symbol", "highest_bid"])

// R3, paper
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and r.side == "bid" and contains(value: r.symbol, set: ${symbols}))
  |> group(columns: ["symbol"])
  |> max()
  |> group()
  |> rename(columns: {_value: "highest_bid"})
  |> keep(columns: ["symbol", "highest_bid"])

// R4
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {n: 0.0, a: 0.0, b: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1.0,
      a: accumulator.a + r.ask_price_0 - r.bid_price_0,
      b: accumulator.b + 20000.0 * (r.ask_price_0 - r.bid_price_0) / (r.bid_price_0 + r.ask_price_0),
    })
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, spread: r.a / r.n, spread_bps: r.b / r.n}))

// R4, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {n: 0.0, a: 0.0, b: 0.0},
    fn: (r, accumulator) => ({
      n: accumulator.n + 1.0,
      a: accumulator.a + r.ask_price_0 - r.bid_price_0,
      b: accumulator.b + 20000.0 * (r.ask_price_0 - r.bid_price_0) / (r.bid_price_0 + r.ask_price_0),
    })
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, spread: r.a / r.n, spread_bps: r.b / r.n}))

// R5
import "internal/debug"

// Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "bid_price_0" or r._field == "ask_price_0") and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, seq: r.seq, venue: r.venue, bid: r.bid_price_0, ask: r.ask_price_0}))

venues = rows
  |> distinct(column: "venue")
  |> rename(columns: {_value: "other"})

join(tables: {r: rows, v: venues}, on: ["symbol"])
  |> map(fn: (r) => ({
    seq: r.seq,
    other: r.other,
    bid: if r.venue == r.other then r.bid else debug.null(type: "float"),
    ask: if r.venue == r.other then r.ask else debug.null(type: "float"),
  }))
  |> group(columns: ["other"])
  |> sort(columns: ["seq"])
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> group(columns: ["seq"])
  |> reduce(
    identity: {best_bid: float(v: "-1e308"), best_ask: float(v: "1e308")},
    fn: (r, accumulator) => ({
      best_bid: if exists r.bid and r.bid > accumulator.best_bid then r.bid else accumulator.best_bid,
      best_ask: if exists r.ask and r.ask < accumulator.best_ask then r.ask else accumulator.best_ask,
    })
  )
  |> group()
  |> keep(columns: ["seq", "best_bid", "best_ask"])

// R5, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "internal/debug"

// Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "price_0") and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, seq: r.seq, venue: r.venue, bid: r.bid_price_0, ask: r.ask_price_0}))

venues = rows
  |> distinct(column: "venue")
  |> rename(columns: {_value: "other"})

join(tables: {r: rows, v: venues}, on: ["symbol"])
  |> map(fn: (r) => ({
    seq: r.seq,
    other: r.other,
    bid: if r.venue == r.other then r.bid else debug.null(type: "float"),
    ask: if r.venue == r.other then r.ask else debug.null(type: "float"),
  }))
  |> group(columns: ["other"])
  |> sort(columns: ["seq"])
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> group(columns: ["seq"])
  |> reduce(
    identity: {best_bid: float(v: "-1e308"), best_ask: float(v: "1e308")},
    fn: (r, accumulator) => ({
      best_bid: if exists r.bid and r.bid > accumulator.best_bid then r.bid else accumulator.best_bid,
      best_ask: if exists r.ask and r.ask < accumulator.best_ask then r.ask else accumulator.best_ask,
    })
  )
  |> group()
  |> keep(columns: ["seq", "best_bid", "best_ask"])

// R6
import "date"
import "math"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({
    symbol: r.symbol,
    bucket: date.truncate(t: r._time, unit: 5m),
    mid: r._value,
    log_return: math.log(x: r._value),
  }))
  |> difference(columns: ["log_return"], keepFirst: true)
  |> group()

// R6, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"
import "math"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({
    symbol: r.symbol,
    bucket: date.truncate(t: r._time, unit: 5m),
    mid: r._value,
    log_return: math.log(x: r._value),
  }))
  |> difference(columns: ["log_return"], keepFirst: true)
  |> group()

// R7
import "math"

returns = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price") and contains(value: r.symbol, set: ${symbols}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "volatility"})

counts = returns |> count() |> rename(columns: {_value: "n"})

join(tables: {d: deviations, c: counts}, on: ["symbol"])
  |> group()
  |> keep(columns: ["symbol", "volatility", "n"])

// R8
import "math"

returns = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "volatility"})

counts = returns |> count() |> rename(columns: {_value: "n"})

join(tables: {d: deviations, c: counts}, on: ["symbol"])
  |> group()
  |> keep(columns: ["symbol", "volatility", "n"])

// R8, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "math"

returns = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, _time: r._time, _value: (r.bid_price_0 + r.ask_price_0) / 2.0}))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 5m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "volatility"})

counts = returns |> count() |> rename(columns: {_value: "n"})

join(tables: {d: deviations, c: counts}, on: ["symbol"])
  |> group()
  |> keep(columns: ["symbol", "volatility", "n"])

// R9
from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price" or r._field == "qty") and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> filter(fn: (r) => r.price > ${price})
  |> map(fn: (r) => ({seq: r.seq, ts: time(v: r.ts), price: r.price, qty: r.qty}))

// R10
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

rows = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "ts" or r._field == "bid_price_0" or r._field == "bid_price_1" or
      r._field == "bid_price_2" or r._field == "bid_price_3" or r._field == "bid_price_4" or r._field == "bid_price_5" or
      r._field == "bid_price_6" or r._field == "bid_price_7" or r._field == "bid_price_8" or r._field == "bid_price_9" or
      r._field == "bid_qty_0" or r._field == "bid_qty_1" or r._field == "bid_qty_2" or r._field == "bid_qty_3" or
      r._field == "bid_qty_4" or r._field == "bid_qty_5" or r._field == "bid_qty_6" or r._field == "bid_qty_7" or
      r._field == "bid_qty_8" or r._field == "bid_qty_9" or r._field == "ask_price_0" or r._field == "ask_price_1" or
      r._field == "ask_price_2" or r._field == "ask_price_3" or r._field == "ask_price_4" or r._field == "ask_price_5" or
      r._field == "ask_price_6" or r._field == "ask_price_7" or r._field == "ask_price_8" or r._field == "ask_price_9" or
      r._field == "ask_qty_0" or r._field == "ask_qty_1" or r._field == "ask_qty_2" or r._field == "ask_qty_3" or
      r._field == "ask_qty_4" or r._field == "ask_qty_5" or r._field == "ask_qty_6" or r._field == "ask_qty_7" or
      r._field == "ask_qty_8" or r._field == "ask_qty_9"
    ))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])

marks = rows |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, found: r.seq}))

asked = union(tables: [marks, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "found", usePrevious: true)
  |> filter(fn: (r) => r.later == 1 and exists r.found)
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), seq: r.found}))

join(tables: {a: asked, b: rows}, on: ["symbol", "seq"])
  |> group()
  |> keep(
    columns: [
      "symbol", "moment",
      "bid_price_0", "bid_price_1", "bid_price_2", "bid_price_3", "bid_price_4",
      "bid_price_5", "bid_price_6", "bid_price_7", "bid_price_8", "bid_price_9",
      "bid_qty_0", "bid_qty_1", "bid_qty_2", "bid_qty_3", "bid_qty_4",
      "bid_qty_5", "bid_qty_6", "bid_qty_7", "bid_qty_8", "bid_qty_9",
      "ask_price_0", "ask_price_1", "ask_price_2", "ask_price_3", "ask_price_4",
      "ask_price_5", "ask_price_6", "ask_price_7", "ask_price_8", "ask_price_9",
      "ask_qty_0", "ask_qty_1", "ask_qty_2", "ask_qty_3", "ask_qty_4",
      "ask_qty_5", "ask_qty_6", "ask_qty_7", "ask_qty_8", "ask_qty_9",
    ],
  )

// R10, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

rows = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "ts" or r._field == "price_0" or r._field == "price_1" or
      r._field == "price_2" or r._field == "price_3" or r._field == "price_4" or r._field == "price_5" or
      r._field == "price_6" or r._field == "price_7" or r._field == "price_8" or r._field == "price_9" or
      r._field == "qty_0" or r._field == "qty_1" or r._field == "qty_2" or r._field == "qty_3" or
      r._field == "qty_4" or r._field == "qty_5" or r._field == "qty_6" or r._field == "qty_7" or
      r._field == "qty_8" or r._field == "qty_9"
    ))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq", bid_ts: "ts"})
  |> group(columns: ["symbol"])

marks = rows |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, found: r.seq}))

asked = union(tables: [marks, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "found", usePrevious: true)
  |> filter(fn: (r) => r.later == 1 and exists r.found)
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), seq: r.found}))

join(tables: {a: asked, b: rows}, on: ["symbol", "seq"])
  |> group()
  |> keep(
    columns: [
      "symbol", "moment",
      "bid_price_0", "bid_price_1", "bid_price_2", "bid_price_3", "bid_price_4",
      "bid_price_5", "bid_price_6", "bid_price_7", "bid_price_8", "bid_price_9",
      "bid_qty_0", "bid_qty_1", "bid_qty_2", "bid_qty_3", "bid_qty_4",
      "bid_qty_5", "bid_qty_6", "bid_qty_7", "bid_qty_8", "bid_qty_9",
      "ask_price_0", "ask_price_1", "ask_price_2", "ask_price_3", "ask_price_4",
      "ask_price_5", "ask_price_6", "ask_price_7", "ask_price_8", "ask_price_9",
      "ask_qty_0", "ask_qty_1", "ask_qty_2", "ask_qty_3", "ask_qty_4",
      "ask_qty_5", "ask_qty_6", "ask_qty_7", "ask_qty_8", "ask_qty_9",
    ],
  )

// R11
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

// R12
from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> sort(columns: ["seq"])
  |> last(column: "seq")
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, ts: time(v: r.ts), seq: r.seq, price: r.price}))

// R13
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

prints = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, price: r.price}))

quotes = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "bid_price_0" or r._field == "ask_price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0}))

union(tables: [prints, quotes, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "price", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), price: r.price, bid: r.bid, ask: r.ask}))

// R13, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "array"

// As-of by carrying forward: moments stand among the rows, after those of their own time.
moments = array.from(rows: ${moments})
  |> map(fn: (r) => ({symbol: r.symbol, at: int(v: r.moment), later: 1}))

prints = from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts" or r._field == "price"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, price: r.price}))

quotes = from(bucket: "bench_book")
  |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq", bid_ts: "ts"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0}))

union(tables: [prints, quotes, moments])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "price", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, moment: time(v: r.at), price: r.price, bid: r.bid, ask: r.ask}))

// R14
// As-of by carrying forward: trades stand among the book's rows, after those of their own time.
prints = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 1, seq: r.seq}))

quotes = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "bid_price_0" or r._field == "ask_price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({
    symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, book_seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0,
  }))

union(tables: [prints, quotes])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "book_seq", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> keep(columns: ["seq", "book_seq", "bid", "ask"])

// R14, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
// As-of by carrying forward: trades stand among the book's rows, after those of their own time.
prints = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "ts") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({symbol: r.symbol, at: r.ts, later: 1, seq: r.seq}))

quotes = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "ts" or r._field == "price_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq", bid_ts: "ts"})
  |> group(columns: ["symbol"])
  |> map(fn: (r) => ({
    symbol: r.symbol, at: r.ts, later: 0, seq: r.seq, book_seq: r.seq, bid: r.bid_price_0, ask: r.ask_price_0,
  }))

union(tables: [prints, quotes])
  |> group(columns: ["symbol"])
  |> sort(columns: ["at", "later", "seq"])
  |> fill(column: "book_seq", usePrevious: true)
  |> fill(column: "bid", usePrevious: true)
  |> fill(column: "ask", usePrevious: true)
  |> filter(fn: (r) => r.later == 1)
  |> group()
  |> keep(columns: ["seq", "book_seq", "bid", "ask"])

// R15
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "bid_qty_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {paid: 0.0, qty: 0.0},
    fn: (r, accumulator) => ({paid: accumulator.paid + r.bid_price_0 * r.bid_qty_0, qty: accumulator.qty + r.bid_qty_0})
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, vwab: r.paid / r.qty}))

// R15, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0" or r._field == "qty_0") and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> group(columns: ["symbol"])
  |> reduce(
    identity: {paid: 0.0, qty: 0.0},
    fn: (r, accumulator) => ({paid: accumulator.paid + r.bid_price_0 * r.bid_qty_0, qty: accumulator.qty + r.bid_qty_0})
  )
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, vwab: r.paid / r.qty}))

// R16
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

// R17
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

// R18
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

// R19
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "bid_qty_0" or r._field == "bid_qty_1" or r._field == "bid_qty_2" or r._field == "bid_qty_3" or
      r._field == "bid_qty_4" or r._field == "ask_qty_0" or r._field == "ask_qty_1" or r._field == "ask_qty_2" or
      r._field == "ask_qty_3" or r._field == "ask_qty_4"
    ) and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), b: r.bid_qty_0 + r.bid_qty_1 + r.bid_qty_2 + r.bid_qty_3 + r.bid_qty_4, a: r.ask_qty_0 + r.ask_qty_1 + r.ask_qty_2 + r.ask_qty_3 + r.ask_qty_4}))
  |> map(fn: (r) => ({symbol: r.symbol, minute: r.minute, imbalance: (r.b - r.a) / (r.b + r.a)}))
  |> group(columns: ["symbol", "minute"])
  |> mean(column: "imbalance")
  |> group()

// R19, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "qty_0" or r._field == "qty_1" or r._field == "qty_2" or r._field == "qty_3" or
      r._field == "qty_4"
    ) and contains(value: r.symbol, set: ${symbols}))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, minute: date.truncate(t: r._time, unit: 1m), b: r.bid_qty_0 + r.bid_qty_1 + r.bid_qty_2 + r.bid_qty_3 + r.bid_qty_4, a: r.ask_qty_0 + r.ask_qty_1 + r.ask_qty_2 + r.ask_qty_3 + r.ask_qty_4}))
  |> map(fn: (r) => ({symbol: r.symbol, minute: r.minute, imbalance: (r.b - r.a) / (r.b + r.a)}))
  |> group(columns: ["symbol", "minute"])
  |> mean(column: "imbalance")
  |> group()

// R20
import "math"
import "internal/debug"

wanted = float(v: ${qty})

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "ask_price_0" or r._field == "ask_price_1" or r._field == "ask_price_2" or
      r._field == "ask_price_3" or r._field == "ask_price_4" or r._field == "ask_price_5" or r._field == "ask_price_6" or
      r._field == "ask_price_7" or r._field == "ask_price_8" or r._field == "ask_price_9" or r._field == "ask_qty_0" or
      r._field == "ask_qty_1" or r._field == "ask_qty_2" or r._field == "ask_qty_3" or r._field == "ask_qty_4" or
      r._field == "ask_qty_5" or r._field == "ask_qty_6" or r._field == "ask_qty_7" or r._field == "ask_qty_8" or
      r._field == "ask_qty_9"
    ) and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> map(fn: (r) => ({r with held: 0.0, paid: 0.0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_0, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_0, y: wanted - r.held)) * r.ask_price_0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_1, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_1, y: wanted - r.held)) * r.ask_price_1}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_2, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_2, y: wanted - r.held)) * r.ask_price_2}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_3, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_3, y: wanted - r.held)) * r.ask_price_3}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_4, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_4, y: wanted - r.held)) * r.ask_price_4}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_5, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_5, y: wanted - r.held)) * r.ask_price_5}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_6, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_6, y: wanted - r.held)) * r.ask_price_6}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_7, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_7, y: wanted - r.held)) * r.ask_price_7}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_8, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_8, y: wanted - r.held)) * r.ask_price_8}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_9, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_9, y: wanted - r.held)) * r.ask_price_9}))
  |> map(fn: (r) => ({seq: r.seq, mean_price: if r.held >= wanted then r.paid / wanted else debug.null(type: "float")}))

// R20, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "math"
import "internal/debug"

wanted = float(v: ${qty})

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "price_0" or r._field == "price_1" or r._field == "price_2" or
      r._field == "price_3" or r._field == "price_4" or r._field == "price_5" or r._field == "price_6" or
      r._field == "price_7" or r._field == "price_8" or r._field == "price_9" or r._field == "qty_0" or
      r._field == "qty_1" or r._field == "qty_2" or r._field == "qty_3" or r._field == "qty_4" or
      r._field == "qty_5" or r._field == "qty_6" or r._field == "qty_7" or r._field == "qty_8" or
      r._field == "qty_9"
    ) and r.symbol == ${symbol})
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq"})
  |> group()
  |> map(fn: (r) => ({r with held: 0.0, paid: 0.0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_0, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_0, y: wanted - r.held)) * r.ask_price_0}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_1, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_1, y: wanted - r.held)) * r.ask_price_1}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_2, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_2, y: wanted - r.held)) * r.ask_price_2}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_3, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_3, y: wanted - r.held)) * r.ask_price_3}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_4, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_4, y: wanted - r.held)) * r.ask_price_4}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_5, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_5, y: wanted - r.held)) * r.ask_price_5}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_6, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_6, y: wanted - r.held)) * r.ask_price_6}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_7, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_7, y: wanted - r.held)) * r.ask_price_7}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_8, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_8, y: wanted - r.held)) * r.ask_price_8}))
  |> map(fn: (r) => ({r with held: r.held + r.ask_qty_9, paid: r.paid + math.mMax(x: 0.0, y: math.mMin(x: r.ask_qty_9, y: wanted - r.held)) * r.ask_price_9}))
  |> map(fn: (r) => ({seq: r.seq, mean_price: if r.held >= wanted then r.paid / wanted else debug.null(type: "float")}))

// R21
import "date"

// Rows meet the ones before them by their number.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (
      r._field == "seq" or r._field == "bid_price_0" or r._field == "bid_qty_0" or r._field == "ask_price_0" or
      r._field == "ask_qty_0"
    ) and r.symbol == ${symbol} and r.venue == ${venue})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> sort(columns: ["seq"])
  |> map(fn: (r) => ({
    at: 1, _time: r._time, bid: r.bid_price_0, bid_qty: r.bid_qty_0, ask: r.ask_price_0, ask_qty: r.ask_qty_0,
  }))
  |> cumulativeSum(columns: ["at"])

before = rows
  |> map(fn: (r) => ({at: r.at + 1, bid_before: r.bid, bid_qty_before: r.bid_qty, ask_before: r.ask, ask_qty_before: r.ask_qty}))

join(tables: {r: rows, b: before}, on: ["at"])
  |> map(fn: (r) => ({
    second: date.truncate(t: r._time, unit: 1s),
    flow: (if r.bid >= r.bid_before then r.bid_qty else 0.0)
      - (if r.bid <= r.bid_before then r.bid_qty_before else 0.0)
      - (if r.ask <= r.ask_before then r.ask_qty else 0.0)
      + (if r.ask >= r.ask_before then r.ask_qty_before else 0.0),
  }))
  |> group(columns: ["second"])
  |> sum(column: "flow")
  |> group()

// R21, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

// Rows meet the ones before them by their number.
rows = from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "seq" or r._field == "price_0" or r._field == "qty_0") and r.symbol == ${symbol} and r.venue == ${venue})
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> rename(columns: {bid_seq: "seq"})
  |> group()
  |> sort(columns: ["seq"])
  |> map(fn: (r) => ({
    at: 1, _time: r._time, bid: r.bid_price_0, bid_qty: r.bid_qty_0, ask: r.ask_price_0, ask_qty: r.ask_qty_0,
  }))
  |> cumulativeSum(columns: ["at"])

before = rows
  |> map(fn: (r) => ({at: r.at + 1, bid_before: r.bid, bid_qty_before: r.bid_qty, ask_before: r.ask, ask_qty_before: r.ask_qty}))

join(tables: {r: rows, b: before}, on: ["at"])
  |> map(fn: (r) => ({
    second: date.truncate(t: r._time, unit: 1s),
    flow: (if r.bid >= r.bid_before then r.bid_qty else 0.0)
      - (if r.bid <= r.bid_before then r.bid_qty_before else 0.0)
      - (if r.ask <= r.ask_before then r.ask_qty else 0.0)
      + (if r.ask >= r.ask_before then r.ask_qty_before else 0.0),
  }))
  |> group(columns: ["second"])
  |> sum(column: "flow")
  |> group()

// R22
import "math"

returns = from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price"))
  |> group(columns: ["symbol"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: 1m, fn: last, createEmpty: false, timeSrc: "_start")
  |> map(fn: (r) => ({symbol: r.symbol, _value: math.log(x: r._value)}))
  |> difference()

deviations = returns |> stddev(mode: "sample") |> rename(columns: {_value: "deviation"})

sums = returns
  |> reduce(
    identity: {n: 0, squares: 0.0},
    fn: (r, accumulator) => ({n: accumulator.n + 1, squares: accumulator.squares + r._value * r._value})
  )

join(tables: {d: deviations, s: sums}, on: ["symbol"])
  |> group()
  |> map(fn: (r) => ({symbol: r.symbol, realised: math.sqrt(x: r.squares), deviation: r.deviation, n: r.n}))

// R23
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

// R24
from(bucket: "bench_trades")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "seq" or r._field == "price" or r._field == "qty"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> filter(fn: (r) => r.qty > ${qty})
  |> keep(columns: ["seq", "symbol", "price", "qty"])

// R25
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "bid_price_0" or r._field == "ask_price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, hour: date.truncate(t: r._time, unit: 1h), spread: r.ask_price_0 - r.bid_price_0}))
  |> group(columns: ["symbol", "hour"])
  |> mean(column: "spread")
  |> group()

// R25, paper
// Bid and ask of a row are points of two series: the pivot puts them side by side.
import "date"

from(bucket: "bench_book")
  |> range(start: ${start}, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_book" and (r._field == "price_0"))
  |> pivot(rowKey: ["_time"], columnKey: ["side", "_field"], valueColumn: "_value")
  |> map(fn: (r) => ({symbol: r.symbol, hour: date.truncate(t: r._time, unit: 1h), spread: r.ask_price_0 - r.bid_price_0}))
  |> group(columns: ["symbol", "hour"])
  |> mean(column: "spread")
  |> group()

// R26
from(bucket: "bench_trades")
  |> range(start: 1970-01-01T00:00:00Z, stop: ${end})
  |> filter(fn: (r) => r._measurement == "bench_trades" and (r._field == "price"))
  |> group()
  |> aggregateWindow(every: 1m, fn: max, createEmpty: false, timeSrc: "_start")
  |> sort(columns: ["_time"], desc: true)
  |> limit(n: 5)
  |> rename(columns: {_time: "minute", _value: "high"})
  |> keep(columns: ["minute", "high"])

// R27
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

// R28
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
