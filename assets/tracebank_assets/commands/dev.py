"""`tracebank dev`: the Dagster UI with the platform's home, its schedule and its sensor on, and the explorer."""

import os
import subprocess
import sys
from typing import Annotated

import typer

_LOOPBACK = "127.0.0.1"


def dev(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    explorer: Annotated[bool, typer.Option(help="Serve the explorer beside it, on 127.0.0.1.")] = True,
    explorer_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the explorer.")] = 8080,
) -> None:
    """Start the Dagster UI and the explorer; the daily schedule and the sensor of new files run while it does."""
    from rich.console import Console

    from tracebank.holds import hold
    from tracebank.ports import PortTaken, check_free
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.executors import executor_named
    from tracebank_benchmarks.tsdb.servers import read_env_file

    settings = Settings.load()
    executor_named(settings.executor)
    ours = hold(settings.home, "dev")
    try:
        check_free(host, port)
        if explorer:
            check_free(_LOOPBACK, explorer_port)
    except PortTaken:
        ours.release()
        raise
    upgrade(settings)
    read_env_file()
    with dagster_instance(settings) as instance:
        home = instance.root_directory
    settings.incoming.mkdir(parents=True, exist_ok=True)
    Console(stderr=True).print(
        f"Dagster UI on http://{host}:{port} (home {home})\n"
        + (f"explorer on http://{_LOOPBACK}:{explorer_port}\n" if explorer else "")
        + f"watching {settings.incoming} for market files"
    )
    sys.stderr.flush()
    # Dagster puts the `.env` of its working folder above the environment, so it gets a folder that has none.
    os.chdir(home)
    ours.keep_over_exec()
    environment = {**os.environ, **settings.environment(), "TRACEBANK_DEV": "1"}
    if explorer:
        environment["TRACEBANK_EXPLORER_URL"] = f"http://{_LOOPBACK}:{explorer_port}"
        _explore(explorer_port, environment)
    # In place of this process, so that whoever stops it stops Dagster, which then stops its own children.
    module = "tracebank_assets.definitions"
    command = [sys.executable, "-m", "dagster", "dev", "-m", module, "-h", host, "-p", str(port)]
    os.execve(sys.executable, command, environment)


def _explore(port: int, environment: dict[str, str]) -> None:
    """Serve the explorer for as long as this process lives, whatever program it becomes."""
    ours, its = os.pipe()
    subprocess.Popen([sys.executable, "-m", "tracebank.explorer.serving", str(port)], stdin=ours, env=environment)
    os.close(ours)
    os.set_inheritable(its, True)  # it ends with whoever has this end: this process, after its exec too
