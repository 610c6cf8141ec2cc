"""The command line `tracebank`: arguments in, answers and one-line errors out. What a command does lies elsewhere;
commands of other packages come from entry points of the group `tracebank.commands`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code: 0, 1 for a failure, 2 for bad input, 130 after Ctrl-C."""
    from tracebank.cli.faults import report

    try:
        from tracebank.cli.app import app

        code = app(standalone_mode=False, prog_name="tracebank")
    except BaseException as error:
        if os.environ.get("TRACEBANK_DEBUG") == "1" and not isinstance(error, SystemExit):
            raise
        code = report(error)
    sys.exit(code if isinstance(code, int) else 0)
