"""The page: sections of a run's figures, with plots and styles inside, so that one file is all there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from tracebank_benchmarks.tsdb import paper
from tracebank_benchmarks.tsdb.report import advice, concurrency, plots
from tracebank_benchmarks.tsdb.report.figures import STATUS_WORDS, TIMED, Figures, shown_seconds, workload_name
from tracebank_benchmarks.tsdb.results import Record
from tracebank_benchmarks.tsdb.statistics import SHIFT_SECONDS
from tracebank_benchmarks.tsdb.workloads import BY_ID

_BAD: Final = ("wrong_answer", "error")


def write_report(record: Record, path: Path, earlier: Sequence[Record] = ()) -> Path:
    """Write the page of a run.

    Args:
        record: the run.
        path: where to.
        earlier: runs of other scales, for the slopes of growth.
    """
    path.write_text(page(record, earlier), encoding="utf-8")
    return path


def page(record: Record, earlier: Sequence[Record] = ()) -> str:
    """The page of a run."""
    figures = Figures(record, earlier)
    sections = (_head, _advice, _ranking, _heat, _times, _loads, _storage, _queries, _ingest, _mixed, _others,
                _growth, _paper, _statuses, _environment, _texts)  # fmt: skip
    body = "\n".join(text for section in sections if (text := section(figures)))
    here = resources.files(__package__)
    template = Template(here.joinpath("page.html").read_text(encoding="utf-8"))
    css = here.joinpath("page.css").read_text(encoding="utf-8")
    return template.substitute(title=escape(f"Time-series databases, run {record.run_id}"), css=css, body=body)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 99, caption: str = "") -> str:
    """A table; cells are HTML, those from column `numbers` on are aligned right."""
    above = "".join(f'<th class="n">{c}</th>' if i >= numbers else f"<th>{c}</th>" for i, c in enumerate(head))
    lines = []
    for row in rows:
        cells = (
            cell
            if cell.startswith("<td")
            else (f'<td class="n">{cell}</td>' if index >= numbers else f"<td>{cell}</td>")
            for index, cell in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{above}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _head(figures: Figures) -> str:
    record = figures.record
    rows = ", ".join(f"{count:,} {name.removeprefix('bench_')} rows" for name, count in record.data_rows.items())
    state = "" if record.finished_at else " The run did not finish; it can be continued by its id."
    samples = sum(one.kind == "warm" for one in record.samples)
    share = record.overhead_share
    overhead = "" if share is None else f" The harness's own time was {share:.1%} of the engines'."
    return (
        f"<h1>Which time-series database?</h1>"
        f'<p class="soft">Run {escape(record.run_id)}, {record.started_at:%Y-%m-%d %H:%M} UTC, scale'
        f" {record.plan.scale:g} ({rows}), seed {record.plan.seed}, {record.plan.minutes:g} minutes."
        f"{state}</p>"
        f'<p class="lead">{escape(advice.summary(figures))}</p>'
        f"<p>Every one of the {samples:,} timed answers was compared with the right one before its time counted; where"
        f" an answer was wrong, there is no time.{overhead}</p>"
    )


def _advice(figures: Figures) -> str:
    rows = [
        (f"<strong>{escape(one.job[:1].upper() + one.job[1:])}</strong>", escape(one.sentence))
        for one in advice.advise(figures)
    ]
    if not rows:
        return ""
    note = "On this machine, at this scale, with the settings below. Where intervals overlap, nobody is named."
    return f'<h2>Which engine for which job</h2><p class="soft">{note}</p>{_table(("job", "what the run says"), rows)}'


def _ranking(figures: Figures) -> str:
    if not figures.ranks:
        return ""
    rows = [
        (escape(entry), f"{rank.value:.2f}", f"{rank.low:.2f} – {rank.high:.2f}",
         f"{figures.answered(entry)} of {len(figures.reads)}")
        for entry, rank in figures.ranks.items()
    ]  # fmt: skip
    missing = ", ".join(read for read in figures.reads if read not in figures.compared)
    short = f" Left out, because the run's time ended before every engine was asked: {missing}." if missing else ""
    note = (
        f"Geometric mean over the reads of (c + t) / (c + best), c = {SHIFT_SECONDS * 1e3:g} ms, t the median; a read"
        " that was not answered rightly counts as twice the slowest right answer. Intervals are 95 %, by bootstrap of"
        f" the samples.{short}"
    )
    plot = _figure(plots.ranks(figures), "Score and 95 % interval. Left is better.")
    head = ("engine / lane", "score", "interval", "answered")
    return f'<h2>Ranking</h2><p class="soft">{note}</p>{plot}{_table(head, rows, 1)}'


def _heat(figures: Figures) -> str:
    if not figures.reads:
        return ""
    head = ("read", "what", *(escape(entry).replace("/", "<br>") for entry in figures.entries))
    rows = [
        (
            f"<strong>{read}</strong>",
            escape(workload_name(read)),
            *(_heat_cell(figures, e, read) for e in figures.entries),
        )
        for read in figures.reads
    ]
    note = (
        "Median of warm executions; the deeper the colour, the farther from the fastest. * part of the work is done by"
        " the client. Point at a cell for its interval."
    )
    return f'<h2>Every read</h2><p class="soft">{note}</p>{_table(head, rows, 2)}'


def _heat_cell(figures: Figures, entry: str, read: str) -> str:
    cell = figures.cell(entry, read)
    if cell is None:
        return '<td class="miss"></td>'
    one = cell.result
    words = STATUS_WORDS[one["status"]]
    if cell.ratio is None:
        kind = "bad" if one["status"] in _BAD else "miss"
        return f'<td class="{kind}" title="{escape(str(one["reason"]))}">{words}</td>'
    star = '<sup title="partial">*</sup>' if one["status"] == "partial" else ""
    low, high = shown_seconds(one["low_seconds"]), shown_seconds(one["high_seconds"])
    foreign = f", {one['foreign_share']:.0%} under foreign load" if one["foreign_share"] else ""
    title = f"{low} to {high}, {one['repetitions']} samples{foreign}, CPU {shown_seconds(one['cpu_seconds'])}"
    colour = _colour(cell.ratio)
    return (
        f'<td class="n" style="background:{colour}" title="{title}">{shown_seconds(one["median_seconds"])}{star}</td>'
    )


def _colour(ratio: float) -> str:
    """From green at 1 through yellow at 10 to red at 100."""
    import math

    place = min(1.0, max(0.0, math.log10(ratio) / 2))
    return f"hsl({130 - 130 * place:.0f} 60% {88 - 8 * place:.0f}%)"


def _times(figures: Figures) -> str:
    if not figures.ranks:
        return ""
    return _figure(plots.times(figures), "Median time of every read; gaps are reads without a right answer.")


def _loads(figures: Figures) -> str:
    found = figures.measures("W1")
    if not found:
        return ""
    rows = [
        (escape(entry), *(shown_seconds(one[f"{phase}_seconds"]) for phase in ("serialise", "send", "settle")),
         f"{one['rows_per_second']:,.0f}", f"{one['megabytes_per_second']:,.0f}")
        for entry, one in found.items()
    ]  # fmt: skip
    note = "One load of both tables each, checked row by row where the engine can be asked. MB are of the Arrow data."
    plot = _figure(plots.loads(figures), "Seconds by phase: making bytes, sending them, and until all is at rest.")
    head = ("engine / lane", "serialise", "send", "settle", "rows/s", "MB/s")
    return f'<h2>Loading (W1)</h2><p class="soft">{note}</p>{plot}{_table(head, rows, 1)}'


def _storage(figures: Figures) -> str:
    found = figures.measures("S1")
    if not found:
        return ""
    rows = [
        (escape(entry), f"{one['bench_trades_bytes_per_row']:.1f}", f"{one['bench_book_bytes_per_row']:.1f}",
         f"{one['bytes'] / 1e6:,.1f}", f"{one['share_of_arrow']:.0%}")
        for entry, one in found.items()
    ]  # fmt: skip
    head = ("engine / lane", "bytes/row, trades", "bytes/row, book", "MB in all", "of the Arrow data")
    plot = _figure(plots.sizes(figures), "After the load has settled, indexes and logs included.")
    return f"<h2>Storage (S1)</h2>{plot}{_table(head, rows, 1)}"


def _queries(figures: Figures) -> str:
    rows = concurrency.query_rows(figures)
    if not rows:
        return ""
    note = (
        "A mix of fast reads, every connection in seeded permutations of its own; every answer compared. Closed loop:"
        " each connection asks again as soon as it is answered. Open loop: requests arrive at random at a share of the"
        " best closed rate, and their latency counts from when they were due, waiting included. A percentile stands"
        " only where there were requests enough for it. Beside the engine: the client's own time for each request, and"
        " the rate as a share of what the same clients come to without an engine; near 100 %, they are the limit."
    )
    plot = _figure(plots.latencies(figures), "Open loop: median (dashed) and p99 (p95 or largest, where short).")
    head = ("engine / lane", "loop, connections", "requests/s", "p50", "p95", "p99", "p99.9", "max", "errors",
            "client, each", "of the clients' limit")  # fmt: skip
    return f'<h2>Concurrent queries (Q1)</h2><p class="soft">{note}</p>{plot}{_table(head, _escaped(rows), 2)}'


def _ingest(figures: Figures) -> str:
    rows = concurrency.ingest_rows(figures)
    if not rows:
        return ""
    note = (
        "Batches at a fixed rate, late ones later, never left out: the acknowledgement counts from when the batch was"
        " due. Backlog: rows due and not acknowledged at the end. Readable: from sending until another connection reads"
        " the batch's last row, the median. Every acknowledged row is read back and compared afterwards."
    )
    plot = _figure(plots.ingest_rates(figures), "Rows acknowledged in each interval; dotted: the rate offered.")
    head = ("offered", "engine / lane", "rows/s", "ack p50", "ack p95", "ack p99", "ack max", "backlog", "readable",
            "lost", "errors", "client, each")  # fmt: skip
    return f'<h2>Sustained ingest (W2)</h2><p class="soft">{note}</p>{plot}{_table(head, _escaped(rows), 2)}'


def _mixed(figures: Figures) -> str:
    rows = concurrency.mixed_rows(figures)
    if not rows:
        return ""
    note = "Latency of each side alone → beside the other. Queries are of windows that what is written does not touch."
    head = ("engine / lane", "together", "query p50", "query p95", "query max", "ack p50", "ack p95", "ack max")
    return f'<h2>Ingest under queries (W4)</h2><p class="soft">{note}</p>{_table(head, _escaped(rows), 2)}'


def _escaped(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in rows]


def _others(figures: Figures) -> str:
    parts = []
    for workload in figures.record.plan.workloads:
        if workload in BY_ID or workload in ("W1", "S1", "Q1", "W2", "W4") or not (found := figures.measures(workload)):
            continue
        names = list(dict.fromkeys(name for one in found.values() for name in one))
        rows = [(escape(e), *(_number(one.get(n)) for n in names)) for e, one in found.items()]
        head = ("engine / lane", *(escape(name.replace("_", " ")) for name in names))
        parts.append(_table(head, rows, 1, f"{workload}: {escape(workload_name(workload))}"))
    return f"<h2>Late rows, cold starts, resources</h2>{''.join(parts)}" if parts else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _growth(figures: Figures) -> str:
    found = figures.growths()
    if not found:
        return ""
    head = ("engine / lane", *figures.reads)
    rows = [(escape(e), *(f"{one[r]:.2f}" if r in one else "" for r in figures.reads)) for e, one in found.items()]
    note = (
        "Slope of log time over log rows, over this run and the newest run of each other scale on this machine."
        " 1 is proportional, 0 does not depend on size."
    )
    return f'<h2>Growth (G1)</h2><p class="soft">{note}</p>{_table(head, rows, 1)}'


def _paper(figures: Figures) -> str:
    ours = [entry for entry in figures.entries if any(figures.result(entry, w) for w in paper.WORKLOADS)]
    if not ours:
        return ""
    head = ("workload", "the paper's name", *paper.SYSTEMS, *(escape(e).replace("/", "<br>") for e in ours))
    rows = []
    for row in paper.TABLE:
        unsure = "" if row.certainty == paper.QUOTED else "<sup>?</sup>"
        theirs = ("" if value is None else shown_seconds(value / 1e3) for value in row.milliseconds)
        mine = ((figures.result(e, row.workload) or {}).get("median_seconds") for e in ours)
        rows.append((row.workload, escape(row.name) + unsure, *theirs, *(shown_seconds(value) for value in mine)))
    note = (
        "arXiv:2301.12561, Barez, Bilokon and Xiong 2023, beside this run. Theirs: a laptop of 2019, versions of 2022,"
        " about 20 M trades and 33 M book rows, one naive schema, means of ten without a check of the answers. Compare"
        " orders, not milliseconds. <sup>?</sup> the figure, or which workload it belongs to, could not be confirmed."
    )
    return f'<h2>The paper\'s table beside ours</h2><p class="soft">{note}</p>{_table(head, rows, 2)}'


def _statuses(figures: Figures) -> str:
    rows = [
        (escape(f"{one['engine']}/{one['lane']}"), f"{one['workload']} {escape(workload_name(one['workload']))}",
         STATUS_WORDS[one["status"]], escape(str(one["reason"])))
        for one in figures.record.results
        if one["status"] != "verified"
    ]  # fmt: skip
    rows += [(escape(entry), "all", "not measured here", escape(why)) for entry, why in figures.absent().items()]
    if not rows:
        return "<h2>What was not answered</h2><p>Nothing: every engine answered everything rightly.</p>"
    timed = sum(one["status"] in TIMED for one in figures.record.results)
    text = f"{timed} of {len(figures.record.results)} results have a time."
    return f"<h2>What was not answered</h2><p>{text}</p>{_table(('engine / lane', 'workload', 'status', 'why'), rows)}"


def _environment(figures: Figures) -> str:
    record = figures.record
    facts = {name: value for name, value in record.environment.items() if name not in ("details", "first_seen")}
    facts |= record.environment["details"]
    disturbed = sum(one.disturbed for one in record.samples)
    facts |= {
        "data": record.data_hash,
        "samples under foreign load": f"{disturbed} of {len(record.samples)}",
    }
    machine = _table(("", ""), [(escape(k.replace("_", " ")), escape(_fact(k, v))) for k, v in facts.items()])
    engines = [
        (escape(entry), escape(f"{one.get('version', '')} {one.get('edition', '')}"), escape(_settings(one)),
         escape(str(one.get("ddl_hash", ""))))
        for entry, one in record.engines.items()
        if not one.get("absent")
    ]  # fmt: skip
    table = _table(("engine / lane", "version", "settings, durability included", "DDL hash"), engines)
    return f"<h2>Environment</h2>{machine}{table}"


def _settings(engine: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in (engine.get("settings") or {}).items())


def _fact(name: str, value: object) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _texts(figures: Figures) -> str:
    parts = [
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in figures.record.texts.items()
    ]
    parts = [f"<details><summary>{escape(entry)}: DDL</summary><pre>{escape(str(one['ddl']))}</pre></details>"
             for entry, one in figures.record.engines.items() if one.get("ddl")] + parts  # fmt: skip
    return f"<h2>What was asked, in each engine's own language</h2>{''.join(parts)}" if parts else ""
