"""Check of ports: a port in use is named before a server loads."""

import socket

import pytest

from loopback import find_free_port
from pipeline.launch.ports import require_free_port


def test_a_port_that_is_taken_is_refused_with_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"^port {port} is in use; .* or choose another port: --port NUMBER \(make: PORT=NUMBER\)$"
        ):
            require_free_port(port, variable="PORT")


def test_a_free_port_is_taken_by_nobody() -> None:
    port = find_free_port()
    require_free_port(port, variable="PORT")
    socket.create_server(("127.0.0.1", port)).close()
