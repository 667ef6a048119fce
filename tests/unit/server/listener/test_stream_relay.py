"""The process behind TcpPort: what it does where it has no descriptors left."""

import asyncio
import errno
import socket

from qsh.config.server_settings import MaxStartups
from qsh.server.listener import stream_relay
from qsh.server.listener.limits import Startups
from qsh.server.listener.stream_relay import StreamRelay


class Listening(socket.socket):
    """A listening socket that cannot accept, at first."""

    calls = 0

    def accept(self):
        self.calls += 1
        if self.calls == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def knock(monkeypatch):
    """How often it tried to accept: while descriptors were short, and afterwards."""
    monkeypatch.setattr(stream_relay, "SHORTAGE_SECONDS", 0.2)
    listening = Listening()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    control, other = socket.socketpair()
    relay = StreamRelay(control, [listening], None, Startups(MaxStartups(0, 100, 0)))
    task = asyncio.create_task(relay.run())
    with socket.create_connection(listening.getsockname()), control:
        await asyncio.sleep(0.1)
        short = listening.calls
        await asyncio.sleep(0.3)
        later = listening.calls
        other.close()
        await task
    return short, later


def test_a_shortage_of_descriptors_does_not_spin(monkeypatch):
    short, later = asyncio.run(knock(monkeypatch))
    assert short == 1
    assert later > 1
