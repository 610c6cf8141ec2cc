"""`python -m tracebank`."""

from tracebank.cli import main

main()
