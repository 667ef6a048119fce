"""The worker's side of the monitor; the test is the monitor."""

import asyncio
import contextlib
import socket

from qsh.server.monitor.messages import MAX_MESSAGE, REQUESTS, SessionStarted, StartSession
from qsh.server.worker.monitor_client import MonitorClient
from qsh.wire.codec import encode

EXEC = StartSession(1, b"echo hello", False, "", 0, 0, 0, 0, b"", b"")


async def give_up_waiting():
    """Ask for a session, and be gone when the socket to its holder comes; the holder's end."""
    workers, monitors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    holders, to_holder = socket.socketpair()
    client = MonitorClient(workers)
    client.start()
    with monitors, to_holder:
        asking = asyncio.create_task(client.start_session(EXEC))
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        assert REQUESTS.decode(monitors.recv(MAX_MESSAGE)) == EXEC
        socket.send_fds(monitors, [encode(SessionStarted(False))], [to_holder.fileno()])
        to_holder.close()
        await asyncio.sleep(0.05)
        client._loop.remove_reader(workers.fileno())
    return client, holders


def test_a_socket_that_nobody_waits_for_any_more_is_closed():
    """Else its holder would wait for this worker for as long as the connection lasts."""
    client, holders = asyncio.run(give_up_waiting())
    with holders:
        holders.settimeout(10)
        assert holders.recv(1) == b""
    client._socket.close()
