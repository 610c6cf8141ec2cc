"""Whether a TCP port of this machine is free to listen on, and who listens there if it is not."""

from __future__ import annotations

import contextlib
import errno
import socket
from datetime import UTC, datetime

import psutil


class PortTaken(RuntimeError):
    """A port that cannot be listened on: one line that says which process has it, or why else."""


def check_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on.

    Args:
        host: a name or an address of this machine.
        port: 1 to 65535.

    Raises:
        PortTaken: something listens there, or nothing may.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"--port: {port} is in use by {_listener(port)}; stop it or name another port") from None
        raise PortTaken(f"--host, --port: cannot listen on {host}:{port}: {error.strerror}") from None


def _listener(port: int) -> str:
    """The process that listens on a port; other users' processes may not be told."""
    with contextlib.suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid:
                process = psutil.Process(found.pid)
                since = datetime.fromtimestamp(process.create_time(), UTC)
                command = " ".join(process.cmdline())[:60] or process.name()
                return f"'{command}' (pid {found.pid}, since {since:%Y-%m-%d %H:%M:%S} UTC)"
    return "another process"
