"""A client whose port changes before it has logged in: a NAT that forgets whoever types slowly."""

import asyncio

from qsh.net.dial import open_udp
from qsh.wire.events import LoginSucceeded
from tests.integration.raw_client import connected, wait_for


def test_a_port_that_changes_before_the_login(daemon, new_client):
    key = new_client(daemon).key

    async def scenario():
        async with connected(daemon, key, login=False) as raw:
            connection = raw.connection
            connection.paths.use(open_udp(connection.endpoints[0], None))
            connection.moved()
            assert await wait_for(lambda: connection.paths.is_heard)
            assert isinstance(await raw.log_in(), LoginSucceeded)
            moved = await wait_for(lambda: f"has moved to 127.0.0.1 port {connection.local[1]}"
                                   in daemon.log)  # fmt: skip
            return moved, await raw.run(b"echo fine")

    moved, ran = asyncio.run(scenario())
    assert moved
    assert ran == (b"fine\n", b"", 0)
