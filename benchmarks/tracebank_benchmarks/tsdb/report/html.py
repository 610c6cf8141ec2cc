"""The page: sections of a run's figures, with plots, styles and script inside, so that one file is all there is.

Whatever is about an entry carries `data-e` with its number (in plots, an id that begins with it), by which the reader
switches it on and off.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from itertools import count
from pathlib import Path
from string import Template
from typing import Any, Final

from tracebank_benchmarks.tsdb import paper
from tracebank_benchmarks.tsdb.report import advice, concurrency, plots
from tracebank_benchmarks.tsdb.report.figures import STATUS_WORDS, Figures, shown_seconds, workload_name
from tracebank_benchmarks.tsdb.results import TIMED, Record
from tracebank_benchmarks.tsdb.statistics import LEAST_SAMPLES, SHIFT_SECONDS
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
    sections = (_head, _advice, _ranking, _heat, _loads, _storage, _queries, _ingest, _mixed, _others,
                _growth, _paper, _statuses, _environment, _texts)  # fmt: skip
    body = "\n".join(text for section in sections if (text := section(figures)))
    numbers = count()  # of what plots mark as an entry's
    body = re.sub(r'id="e(\d+)\."', lambda found: f'id="e{found[1]}.{next(numbers)}"', body)
    here = resources.files(__package__)
    parts = {name: here.joinpath(f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    switches = "".join(
        f'<label><input type="checkbox" data-entry="{number}" checked><i class="dot" style="background:{colour}"></i>'
        f"{escape(entry)}</label>"
        for number, (entry, colour) in enumerate(zip(figures.entries, plots.colours(figures), strict=True))
    )
    title = escape(f"Time-series databases, run {record.run_id}")
    return Template(parts["html"]).substitute(
        title=title, css=parts["css"], js=parts["js"], switches=switches, body=body
    )


def _td(text: str, *, number: bool = False, entry: int | None = None, kind: str = "", title: str = "",
        sort: float | None = None, style: str = "") -> str:  # fmt: skip
    """A cell; its text is HTML."""
    classes = " ".join(name for name in ("n" if number else "", kind) if name)
    told = {"class": classes, "title": title, "style": style, "data-e": entry, "data-s": sort}
    written = (f' {name}="{escape(str(value))}"' for name, value in told.items() if value not in (None, ""))
    return f"<td{''.join(written)}>{text}</td>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 99, caption: str = "",
           entries: Sequence[int | None] = (), columns: Sequence[int] = ()) -> str:  # fmt: skip
    """A table that can be sorted.

    Args:
        head: of the columns, HTML.
        rows: cells, HTML or whole `td` elements.
        numbers: cells from this column on are aligned right.
        caption: above it.
        entries: number of the entry that each row is about, where they are about one each.
        columns: numbers of the entries that the last columns are about, where those are.
    """
    first = len(head) - len(columns)
    above = "".join(
        f"<th{' class=n' if i >= numbers else ''}{f' data-e={columns[i - first]}' if i >= first else ''}>{text}</th>"
        for i, text in enumerate(head)
    )
    lines = []
    for at, row in enumerate(rows):
        of = f' data-e="{entries[at]}"' if at < len(entries) and entries[at] is not None else ""
        cells = (one if one.startswith("<td") else _td(one, number=i >= numbers) for i, one in enumerate(row))
        lines.append(f"<tr{of}>{''.join(cells)}</tr>")
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{above}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _numbers(figures: Figures, names: Iterable[str]) -> list[int | None]:
    """Numbers of entries by which they are switched."""
    return [figures.entries.index(name) if name in figures.entries else None for name in names]


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _head(figures: Figures) -> str:
    record = figures.record
    rows = ", ".join(f"{count:,} {name.removeprefix('bench_')} rows" for name, count in record.data_rows.items())
    samples = sum(one.kind == "warm" for one in record.samples)
    share = record.overhead_share
    overhead = "" if share is None else f" The harness's own time was {share:.1%} of the engines'."
    what = f"scale {record.plan.scale:g}" if record.plan.scale else "own data"
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in figures.warnings())
    return (
        f"<h1>Which time-series database?</h1>"
        f'<p class="soft">Run {escape(record.run_id)}, {record.started_at:%Y-%m-%d %H:%M} UTC, {what}'
        f" ({rows}), seed {record.plan.seed}, {record.plan.minutes:g} minutes.</p>{warnings}"
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
    note = (
        f"On this machine, at this scale, with the settings below. Nobody is named below {LEAST_SAMPLES} undisturbed"
        " samples a read, nor where the first is not ahead by more than chance and the noise between runs."
    )
    return f'<h2>Which engine for which job</h2><p class="soft">{note}</p>{_table(("job", "what the run says"), rows)}'


def _ranking(figures: Figures) -> str:
    if not figures.entries or not figures.reads:
        return ""
    rows = []
    for entry in figures.entries:
        rank, answered = figures.ranks.get(entry), f"{figures.answered(entry)} of {len(figures.reads)}"
        if rank is None:
            rows.append(("–", escape(entry), "–", "", answered, escape(figures.unplaced.get(entry, ""))))
            continue
        place = list(figures.ranks).index(entry) + 1
        interval = f"{rank.low:.2f} – {rank.high:.2f}"
        rows.append((f"{place}", escape(entry), f"{rank.value:.2f}", interval, answered, ""))
    note = (
        f"Geometric mean over the reads of (c + t) / (c + best), c = {SHIFT_SECONDS * 1e3:g} ms, t the median of"
        " undisturbed samples. What has no right answer counts as twice the longest time that anybody took for it, a"
        f" time-out as its limit. A place needs {LEAST_SAMPLES} undisturbed samples of every read that was answered."
        " Intervals are of 99 %, by bootstrap of the samples and with the noise between runs."
    )
    plot = _figure(plots.ranks(figures), "Score and 99 % interval. Left is better.") if figures.ranks else ""
    head = ("place", "engine / lane", "score", "interval", "answered", "")
    numbers = _numbers(figures, figures.entries)
    return f'<h2>Ranking</h2><p class="soft">{note}</p>{plot}{_table(head, rows, 99, entries=numbers)}'


def _heat(figures: Figures) -> str:
    if not figures.reads:
        return ""
    names = (escape(entry).replace("/", "<br>") for entry in figures.entries)
    rows = [
        (
            _td(f"<strong>{read}</strong>", sort=place),
            escape(workload_name(read)),
            _td(f"{asked:,}" if (asked := figures.rows_asked(read)) is not None else "", number=True, sort=asked),
            *(_heat_cell(figures, number, entry, read) for number, entry in enumerate(figures.entries)),
        )
        for place, read in enumerate(figures.reads)
    ]
    note = (
        "Warm executions; the deeper the colour, the farther from the fastest. Without colour: fewer than"
        f" {LEAST_SAMPLES} undisturbed samples, or nobody else has as many. * part of the work is done by the client."
        " Rows asked: those of the symbols and the window that the read names. Point at a cell for its interval; press"
        " a head to sort."
    )
    switch = (
        '<p class="switch"><label><input type="radio" name="q" value="p50" checked>p50, the median</label>'
        '<label><input type="radio" name="q" value="p99">p99, of a hundred samples and more</label></p>'
    )
    head = ("read", "what", "rows asked", *names)
    table = _table(head, rows, 2, columns=range(len(figures.entries)))
    timed = any(one["median_seconds"] and one["workload"] in BY_ID for one in figures.record.results)
    caption = "Median of every read; reads without a right answer are left out."
    plot = _figure(plots.times(figures), caption) if timed else ""
    return f'<h2>Every read</h2><p class="soft">{note}</p>{switch}{table}{plot}'


def _heat_cell(figures: Figures, number: int, entry: str, read: str) -> str:
    cell = figures.cell(entry, read)
    if cell is None:
        return _td("", kind="miss", entry=number)
    one = cell.result
    if one["median_seconds"] is None:
        kind = "bad" if one["status"] in _BAD else "miss"
        return _td(STATUS_WORDS[one["status"]], kind=kind, entry=number, title=str(one["reason"]))
    star = '<sup title="partial">*</sup>' if one["status"] == "partial" else ""
    p99 = shown_seconds(cell.p99) or f"<small>{cell.calm} samples</small>"
    text = f'<span class="p50">{shown_seconds(one["median_seconds"])}</span><span class="p99">{p99}</span>{star}'
    sort = {"sort": one["median_seconds"], "number": True, "entry": number}
    cpu = f"CPU {shown_seconds(one['cpu_seconds'])}"
    if cell.ratio is None:
        why = f"{LEAST_SAMPLES} needed" if cell.calm < LEAST_SAMPLES else "nobody to compare it with"
        few = f"{cell.calm} undisturbed samples, {why}; {one['foreign_share']:.0%} disturbed, {cpu}"
        return _td(text, kind="few", title=few, **sort)
    low, high = shown_seconds(one["low_seconds"]), shown_seconds(one["high_seconds"])
    title = (
        f"{low} to {high} (95 % of this run), {cell.calm} undisturbed samples, {cpu}, {cell.ratio:.2f} times the best"
    )
    return _td(text, kind="heat", title=title, style=f"--h:{_hue(cell.ratio):.0f}", **sort)


def _hue(ratio: float) -> float:
    """From green at 1 through yellow at 10 to red at 100."""
    return 130 - 130 * min(1.0, max(0.0, math.log10(ratio) / 2))


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
    table = _table(head, rows, 1, entries=_numbers(figures, found))
    return f'<h2>Loading (W1)</h2><p class="soft">{note}</p>{plot}{table}'


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
    table = _table(head, rows, 1, entries=_numbers(figures, found))
    return f"<h2>Storage (S1)</h2>{plot}{table}"


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
    table = _table(head, _escaped(rows), 2, entries=_numbers(figures, (row[0] for row in rows)))
    return f'<h2>Concurrent queries (Q1)</h2><p class="soft">{note}</p>{plot}{table}'


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
    table = _table(head, _escaped(rows), 2, entries=_numbers(figures, (row[1] for row in rows)))
    return f'<h2>Sustained ingest (W2)</h2><p class="soft">{note}</p>{plot}{table}'


def _mixed(figures: Figures) -> str:
    rows = concurrency.mixed_rows(figures)
    if not rows:
        return ""
    note = "Latency of each side alone → beside the other. Queries are of windows that what is written does not touch."
    head = ("engine / lane", "together", "query p50", "query p95", "query max", "ack p50", "ack p95", "ack max")
    table = _table(head, _escaped(rows), 2, entries=_numbers(figures, (row[0] for row in rows)))
    return f'<h2>Ingest under queries (W4)</h2><p class="soft">{note}</p>{table}'


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
        caption = f"{workload}: {escape(workload_name(workload))}"
        parts.append(_table(head, rows, 1, caption, entries=_numbers(figures, found)))
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
    table = _table(head, rows, 1, entries=_numbers(figures, found))
    return f'<h2>Growth (G1)</h2><p class="soft">{note}</p>{table}'


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
    table = _table(head, rows, 2, columns=[figures.entries.index(e) for e in ours])
    return f'<h2>The paper\'s table beside ours</h2><p class="soft">{note}</p>{table}'


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
