"""How fast recorder files are read, beside `orjson` and the standard library's `json` on the same lines alone.

Every repetition measures all three in turn, so that the ratios come from one run. The lines are split before any clock
starts; reading means everything from lines to typed frames. Run it with
`python -m tracebank_benchmarks.market_rates.recorder [FILES…]`; without files, a synthetic hour is read.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from tracebank_models.market.codecs import iter_line_blocks
from tracebank_models.market.formats import source_of
from tracebank_models.market.pipeline import load, scan
from tracebank_models.market.recorder import read
from tracebank_models.market.synthetic_exchange import SyntheticMarket, write_day

Step = Callable[[], object]


def _loads(lines: list[bytes], loads: Callable[[bytes], object]) -> None:
    for line in lines:
        loads(line)


def _exhaust(items: object) -> None:
    for _ in items:  # type: ignore[attr-defined]
        pass


def _steps(packed: Path, plain: Path) -> dict[str, Step]:
    import orjson

    lines = [line.split(b" ", 1)[1] for block in iter_line_blocks(plain) for line in block if b" " in line]
    source = source_of(plain)
    return {
        "orjson.loads": lambda: _loads(lines, orjson.loads),
        "json.loads": lambda: _loads(lines, json.loads),
        "read (plain file)": lambda: _exhaust(read(source)),
        "read (as it lies on disk)": lambda: _exhaust(read(source_of(packed))),
        "scan": lambda: scan(source, max_rejected_share=1.0),
        "load (books, duplicates)": lambda: _exhaust(load([source])),
    }


def measure(path: Path, repetitions: int) -> tuple[int, dict[str, list[float]]]:
    """CPU seconds of each step, by repetition, and the lines of the file."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / (path.parent.name if path.parent.name.startswith("venue=") else "plain") / "plain.txt"
        plain.parent.mkdir()
        lines = [line for block in iter_line_blocks(path) for line in block]
        plain.write_bytes(b"\n".join(lines))
        steps = _steps(path, plain)
        for step in steps.values():
            step()
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in track(range(repetitions), f"reading {path.name}", console=Console(stderr=True), transient=True):
            for name, step in steps.items():
                started = time.process_time()
                step()
                seconds[name].append(time.process_time() - started)
    return len(lines), seconds


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="Recorder files; none means a synthetic hour.")] = None,
    repetitions: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure reading against parsing JSON alone."""
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            market = SyntheticMarket(day=date(2024, 8, 8), venues=("synthetic_a",), duration_s=3_600)
            files = [file.path for file in write_day(market, Path(folder)).files]
        found = {path.name: measure(path, repetitions) for path in files}
    if as_json:
        typer.echo(json.dumps({name: {"lines": lines, "cpu_seconds": steps} for name, (lines, steps) in found.items()}))
        return
    for name, (lines, steps) in found.items():
        _show(name, lines, steps)


def _show(name: str, lines: int, steps: dict[str, list[float]]) -> None:
    table = Table(
        "step",
        *(Column(text, justify="right") for text in ("median CPU s", "lines/s", "x orjson", "x json")),
        title=f"{name}: {lines:,} lines",
    )
    orjson_s, json_s = (statistics.median(steps[step]) for step in ("orjson.loads", "json.loads"))
    for step, seconds in steps.items():
        median = statistics.median(seconds)
        table.add_row(
            step, f"{median:.3f}", f"{lines / median:,.0f}", f"{median / orjson_s:.2f}", f"{median / json_s:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
