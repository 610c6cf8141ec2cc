"""`tracebank record SYMBOL…`: live streams of Binance into files that `tracebank ingest` reads."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from tracebank.progress import Advance
    from tracebank_assets.market.recorded import Recorded
    from tracebank_assets.market.recording import Recorder


def record(
    symbols: Annotated[list[str], typer.Argument(help="Such as BTCUSDT.", show_default=False)],
    venue: Annotated[str, typer.Option(help="binance_spot, binance_usdm or binance_coinm.")] = "binance_spot",
    streams: Annotated[
        str, typer.Option(help="With commas between; depth@100ms comes with REST snapshots.")
    ] = "depth10@100ms,trade",
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Without it, until Ctrl-C.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="For the files; without it, the one that is watched for new files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, what was recorded.")] = False,
) -> None:
    """Record live streams into files that `tracebank ingest` reads, a new one of each symbol every hour.

    A file that is still written is hidden. What is lost is said: each connection that breaks, and from when to when.
    """
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank_assets.market.depth_requests import RecordingError
    from tracebank_assets.market.recording import Recorder
    from tracebank_models.market.binance_streams import venue_named

    screen = Console(stderr=True, highlight=False, markup=False)
    chosen = folder or Settings.load().incoming
    try:
        recorder = Recorder(venue_named(venue), symbols, streams.split(","), chosen, tell=screen.print)
        with shown_on(screen):
            done = asyncio.run(_until_told(recorder, None if minutes is None else 60 * minutes))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    print_recorded(done, as_json=as_json)


async def _until_told(recorder: "Recorder", seconds: float | None) -> "Recorded":
    """Record until Ctrl-C or an end by the system."""
    from tracebank.progress import track

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with track("recording", seconds) as advance:
        bar = asyncio.create_task(_advance(advance))
        try:
            return await recorder.run(stop, seconds)
        finally:
            bar.cancel()


async def _advance(advance: "Advance") -> None:
    while True:
        await asyncio.sleep(1)
        advance(1)


def print_recorded(done: "Recorded", *, as_json: bool) -> None:
    """Print the files, and in one line what all of it was; what was lost has been said as it was lost."""
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import NUMBER, Grid, print_grids

    files = [*done.recovered, *done.files]
    if as_json:
        listed = [{"path": str(f.path), "symbol": f.symbol, "lines": f.lines, "bytes": f.bytes} for f in files]
        losses = [str(loss) for loss in done.losses]
        write_json({"files": listed, "seconds": done.seconds, "losses": losses, "silent": done.silent})
        return
    if files:
        table = Grid("symbol", "file", ("lines", NUMBER), ("bytes", NUMBER))
        for file in files:
            table.add_row(file.symbol, file.path.name, f"{file.lines:,}", f"{file.bytes:,}")
        print_grids([table])
        click.echo(f"in {files[0].path.parents[2]}, read by: tracebank ingest {files[0].path.parents[2]}")
    if done.recovered:
        click.echo(f"{len(done.recovered)} of them left by a recording that was killed, and finished now")
    if done.silent:
        click.echo(f"nothing came of {', '.join(done.silent)}")
    click.echo(
        f"{len(done.files)} file{'s' * (len(done.files) != 1)}, {done.lines:,} lines, {done.seconds:.1f} s,"
        f" {len(done.losses)} connection{'s' * (len(done.losses) != 1)} lost"
    )
