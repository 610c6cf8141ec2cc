"""InfluxDB in the suite: version 1 (InfluxQL), 2 (Flux) and 3 (SQL), each by its own client."""

from __future__ import annotations

from tracebank_benchmarks.tsdb.engines.influxdb.version1 import InfluxDB1
from tracebank_benchmarks.tsdb.engines.influxdb.version2 import InfluxDB2
from tracebank_benchmarks.tsdb.engines.influxdb.version3 import InfluxDB3

__all__ = ["InfluxDB1", "InfluxDB2", "InfluxDB3"]
