"""A pair whose client may change its network, on a virtual clock."""

import asyncio
import socket

from qsh.net.endpoint import Endpoint
from qsh.net.liveness import KeepAlive
from qsh.net.migration import Migrator
from qsh.quic.engine import EngineConfig
from tests.pair import CLIENT_ADDRESS, SERVER_ADDRESS, Conditions, run

DAY = EngineConfig(idle_timeout=86400.0)
ROUND_TRIP = 0.1
WIFI, LTE = CLIENT_ADDRESS[0], "198.51.100.7"
SERVER = Endpoint(socket.AF_INET, SERVER_ADDRESS)
SERVER_6 = Endpoint(socket.AF_INET6, ("2001:db8::2", 22, 0, 0))


class World:
    """A pair whose client is watched by a Migrator, on a machine whose addresses we set."""

    def __init__(self, pair, *endpoints):
        self.pair, self.network = pair, pair.network
        self.sources = {socket.AF_INET: WIFI}
        self.opened = []
        self.asleep = 0.0
        self.gone = set()
        self.keep_alive = KeepAlive()
        self.migrator = Migrator(
            pair.client, endpoints or (SERVER,), self.open_link,
            find_source=lambda endpoint: self.sources.get(endpoint.family),
            has_address=lambda host: host not in self.gone,
            clock=lambda: asyncio.get_running_loop().time() + self.asleep,
            keep_alive=self.keep_alive, find_endpoints=self.find_endpoints,
        )  # fmt: skip
        self.named = list(endpoints or (SERVER,))

    async def find_endpoints(self):
        return self.named

    def open_link(self, endpoint, _bind_address):
        self.opened.append(endpoint)
        link = self.network.new_path((self.sources[endpoint.family], 40001 + len(self.opened)))
        link.remote = endpoint.sockaddr[:2]
        return link

    def move_to(self, address):
        self.sources[socket.AF_INET] = address
        self.migrator.network_changed()


USUAL = Conditions(latency=ROUND_TRIP / 2)


def world(pair, test, conditions=USUAL, endpoints=()):
    """Run the test with a World in which a session is open: (world, ours, theirs)."""

    async def main():
        async with pair(conditions, config=DAY) as two:
            await two.log_in()
            here = World(two, *endpoints)
            here.migrator.start()
            try:
                await test(here, *await two.open_channel())
            finally:
                here.migrator.stop()

    run(main())


def now():
    return asyncio.get_running_loop().time()


async def echo_time(ours, theirs, key=b"k"):
    """Seconds until a key comes back."""
    begin = now()
    await ours.write(key)
    assert await theirs.read() == key
    await theirs.write(key)
    assert await ours.read() == key
    return now() - begin
