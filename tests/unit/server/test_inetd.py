"""Who is at the other end of `qshd -i`'s standard input."""

import os
import socket

from qsh.server.inetd import UNKNOWN, _ends


def test_a_client_of_a_socket_for_both_families_has_its_own_address():
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1])) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.getpeername()[0] == "::ffff:127.0.0.1"
            remote, local = _ends(accepted.fileno())
            assert (remote, local) == (client.getsockname(), client.getpeername())


def test_at_the_end_of_a_pipe_is_this_machine():
    source, sink = os.pipe()
    try:
        assert _ends(source) == (UNKNOWN, UNKNOWN)
    finally:
        os.close(source)
        os.close(sink)
