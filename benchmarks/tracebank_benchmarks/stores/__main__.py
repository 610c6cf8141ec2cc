"""`python -m tracebank_benchmarks.stores slope` and `… promises`, as `tracebank bench` has them."""

from __future__ import annotations

import typer

from tracebank_benchmarks.stores.commands import promises, slope

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(slope)
app.command()(promises)

if __name__ == "__main__":
    app()
