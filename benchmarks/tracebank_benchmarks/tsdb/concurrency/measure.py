"""Run loads at once in the engine's process and give what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from tracebank_benchmarks.tsdb.concurrency.clients import Client, run_clients
from tracebank_benchmarks.tsdb.concurrency.ingest import Ingest
from tracebank_benchmarks.tsdb.concurrency.loads import IngestLoad, Outcome, QueryLoad
from tracebank_benchmarks.tsdb.concurrency.queries import Asking, CheckedRead, client_limit
from tracebank_benchmarks.tsdb.concurrency.rows import TradeSource
from tracebank_benchmarks.tsdb.engine import Session


def measure(session: Session, said: Callable[[BaseException], str], *, queries: QueryLoad | None = None,
            reads: Mapping[str, CheckedRead] | None = None, ingest: IngestLoad | None = None,
            models: Iterable[pa.Table] = ()) -> Outcome:  # fmt: skip
    """Run a query load, an ingest load, or both at once.

    Args:
        session: the engine, loaded.
        said: an error as one line.
        queries: who asks what.
        reads: what they ask, with right answers, by name.
        ingest: who writes.
        models: trades that rows are modelled on.

    Raises:
        UnsupportedError: the engine has one connection only, or takes no batches.
    """
    asking = Asking(queries, reads or {}, said) if queries is not None else None
    source = TradeSource(models, ingest.start_ns, ingest.first_seq, ingest.batch) if ingest is not None else None
    writing = Ingest(ingest, source, said) if ingest is not None and source is not None else None
    clients: list[Client] = [*(asking.clients if asking else ()), *(writing.clients if writing else ())]
    start, end, cpu = run_clients(session, clients)
    found = Outcome(end - start, cpu)
    if asking is not None and queries is not None:
        found.queries = asking.part(start)
        if queries.rate is None and ingest is None:
            found.queries.values["client_limit_qps"] = client_limit(queries, reads or {}, said)
    if writing is not None:
        found.ingest = writing.part(session, start)
    return found
