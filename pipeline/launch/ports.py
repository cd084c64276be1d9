"""Ports of servers on loopback."""

import errno
import socket


def require_free_port(port: int, *, variable: str, option: str = "--port") -> None:
    """Refuse a loopback port that another server listens on, before anything is loaded.

    Raises:
        ValueError: naming the port, and the option and make variable that choose another port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port that was just closed counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise ValueError(
                f"port {port} is in use; end the other server, or choose another port: {option} NUMBER (make: {variable}=NUMBER)"
            ) from error
