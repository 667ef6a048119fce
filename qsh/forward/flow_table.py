"""Flows by who or what they are for: made at their first datagram, forgotten when idle.

A flow that is idle is forgotten, like any NAT's, and the one that was idle for longest gives way
when there are too many.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from qsh.errors import ChannelOpenError, NetworkError
from qsh.forward.flow import Deliver, Flow, Oversize
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.tasks import spawn

K = TypeVar("K", bound=Hashable)
_log = logger("forward")

IDLE_TIMEOUT = 300.0
"""Seconds without a datagram after which a flow ends (RFC 4787 section 4.3 asks for 5 minutes)."""
MAX_FLOWS = 256
"""Flows of one listener or association. Each is a stream, and a peer permits 1024 of them."""


class FlowTable(Generic[K]):
    """Flows that we open, by key."""

    def __init__(self, connection: Connection, oversize: Oversize) -> None:
        self._connection = connection
        self._oversize = oversize
        self._flows: dict[K, Flow] = {}
        self._loop = asyncio.get_running_loop()
        self._sweeper = spawn(self._sweep(), "forward: idle flows")

    def send(
        self, key: K, payloads: list[bytes], body: Callable[[], object], deliver: Deliver
    ) -> None:
        """Send on the flow of that key; a new one is opened with `body`, and its answers go to
        `deliver`."""
        flow = self._flows.get(key)
        if flow is None or flow.is_over:
            flow = self._open(key, body(), deliver)
        if flow is not None:
            flow.send(payloads)

    def close(self) -> None:
        """End all flows."""
        self._sweeper.cancel()
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()

    def _open(self, key: K, body: object, deliver: Deliver) -> Flow | None:
        if len(self._flows) >= MAX_FLOWS:
            self._end(min(self._flows, key=lambda k: self._flows[k].last_used))
        try:
            channel = self._connection.open_channel(body)
        except NetworkError:
            return None
        flow = self._flows[key] = Flow(channel, deliver, self._oversize)
        spawn(_confirm(channel, flow), "forward: new flow")
        return flow

    def _end(self, key: K) -> None:
        self._flows.pop(key).close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(IDLE_TIMEOUT / 10)
            oldest = self._loop.time() - IDLE_TIMEOUT
            for key, flow in list(self._flows.items()):
                if flow.is_over or flow.last_used < oldest:
                    self._end(key)


async def _confirm(channel: Channel, flow: Flow) -> None:
    try:
        await channel.opened()
    except ChannelOpenError as error:
        _log.error("udp: %s", error)
        flow.close()
    except NetworkError:
        flow.close()
    else:
        flow.opened()
