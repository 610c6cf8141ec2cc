"""`python -m tracebank_benchmarks.explorer speed` and `… fuzz`: how fast the explorer answers, and without faults.

Server and users are processes of their own on loopback, on the machine's own cores: what users take is not the
server's. Every run ends after its seconds.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.request import urlopen

import typer

from tracebank_benchmarks.explorer.driven import LISTED

app = typer.Typer(no_args_is_help=True, add_completion=False)
_SERVER: Final = (sys.executable, "-m", "tracebank", "explore")
_START: Final = 90.0

Home = Annotated[Path, typer.Option(help="Folder of the store; made where it is not there.")]
Units = Annotated[int, typer.Option(min=10, help="Units of the store, over ten layers.")]
Tokens = Annotated[int, typer.Option(min=1, help="Of each of a unit's twenty texts; Neuroscope's have 1,024.")]


@app.command()
def speed(
    home: Home,
    units: Units = 20_000,
    tokens: Tokens = 1024,
    seconds: Annotated[float, typer.Option(min=1, help="Of each kind of request.")] = 10.0,
    users: Annotated[int, typer.Option(min=1, help="Connections that ask as soon as they are answered.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 2,
) -> None:
    """Requests a second, the median and the 99th percentile of their times, and megabytes a second."""
    from tracebank.settings import Settings
    from tracebank_benchmarks.explorer.many_units import LAYERS, MODEL, fill

    fill(Settings.load(home=home), units, tokens)
    begun = time.perf_counter()
    with served(home, workers) as address:
        typer.echo(f"first page {time.perf_counter() - begun:.2f} s after start")
        typer.echo(f"{'':10} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'MB/s':>8} {'304':>8} {'failed':>8}")
        for what in LISTED:
            arguments = [address, what, str(users), str(seconds), str(units // LAYERS), str(LAYERS), MODEL]
            told = _driven(arguments, seconds)
            typer.echo(
                f"{what:10} {told['per_second']:>10.0f} {told['p50_ms']:>8.1f} {told['p99_ms']:>8.1f}"
                f" {told['mb_per_second']:>8.1f} {told['unchanged']:>8} {told['failures']:>8}"
            )


@app.command()
def fuzz(
    home: Home,
    requests: Annotated[int, typer.Option(min=1, help="About so many, over all operations.")] = 20_000,
) -> None:
    """Requests drawn from the OpenAPI document by schemathesis; fails where one is a fault of the server."""
    from tracebank.settings import Settings
    from tracebank_benchmarks.explorer.many_units import fill

    fill(Settings.load(home=home), 100, 16)
    with served(home, 1) as address:
        with urlopen(f"{address}/doc/openapi.json") as document:
            operations = sum(map(len, json.load(document)["paths"].values()))
        command = ["schemathesis", "run", f"{address}/doc/openapi.json", "--phases", "fuzzing", "--mode", "all"]
        command += ["--checks", "not_a_server_error", "--max-examples", str(-(-requests // operations))]
        command += ["--exclude-path-regex", "/activations$", "--suppress-health-check", "all"]
        raise typer.Exit(subprocess.run([sys.executable, "-m", *command], check=False).returncode)


@contextmanager
def served(home: Path, workers: int) -> Iterator[str]:
    """The address of a server over a home, that stops at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"TRACEBANK_HOME": str(home)}
    server = subprocess.Popen([*_SERVER, "--port", str(port), "--workers", str(workers)], env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(server, address)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    give_up = time.monotonic() + _START
    while time.monotonic() < give_up and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise typer.BadParameter(f"the server at {address} did not answer within {_START:.0f} s")


def _driven(arguments: list[str], seconds: float) -> dict[str, Any]:
    """What users of a process of their own found."""
    command = [sys.executable, "-m", "tracebank_benchmarks.explorer.driven", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=True)
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


if __name__ == "__main__":
    app()
