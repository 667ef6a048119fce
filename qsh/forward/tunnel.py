"""Tunnels (-w): the packets of a tun or tap device, one QUIC datagram each.

Nothing beneath is sent again because it was missed: what is inside sees the path's own loss and
repairs it itself. On a path that loses and has room each packet is sent twice (forward.copies).
The device is as wide as the path, though not narrower than IPv6 wants; what does not fit goes by
the channel's stream (forward.flow).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from qsh.forward.copies import NUMBER_SIZE, Numbered, Unseen
from qsh.forward.flow import Flow, Oversize
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.net.repeats import Losses
from qsh.net.tasks import cancel, spawn
from qsh.record import record
from qsh.wire.forward_messages import ETHERNET

_log = logger("tunnel")

MIN_SIZE = 1280
"""Bytes of the largest packet, at least: IPv6's (RFC 8200 section 5)."""
ETHERNET_HEAD = 14
"""Bytes of a frame that its MTU does not count."""
LOOK_EVERY = 1.0
"""Seconds between two looks at the path's size."""
LOSSES_EVERY = 0.1
"""Seconds between two looks at its losses, while there are packets."""
LOSSY = 0.002
"""Of what is sent: from then on a TCP by cubic at 40 ms gets less than 10 Mbit/s."""
LAST_COPIES_AFTER = 0.005
"""Seconds that copies wait at most for packets to follow."""
READS_PER_TURN = 64
MAX_PACKET = 65535 + ETHERNET_HEAD


@record
class Device:
    """An open tunnel device. `resize` sets its MTU; raises OSError."""

    descriptor: int
    name: str
    mode: int
    resize: Callable[[str, int], Awaitable[None]]


class Tunnel:
    """One device on one channel. Owns the device."""

    def __init__(self, channel: Channel, device: Device) -> None:
        self._channel = channel
        self._device = device
        self._flow = Flow(channel, self._write, Oversize.STREAM)
        self._size = 0
        self._numbered, self._unseen = Numbered(), Unseen()
        self._losses = Losses(LOSSY)
        self._look_at = 0.0
        self._rest: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Carry packets until the channel is over. It must be open."""
        loop = asyncio.get_running_loop()
        descriptor = self._device.descriptor
        self._flow.opened()
        loop.add_reader(descriptor, self._readable)
        resizing = spawn(self._follow_path(), "tunnel: size")
        try:
            await self._channel.wait_closed()
        finally:
            await cancel(resizing)
            loop.remove_reader(descriptor)
            if self._rest is not None:
                self._rest.cancel()
            self._flow.close()
            os.close(descriptor)

    def _readable(self) -> None:
        packets = []
        with suppress(OSError):  # no more
            for _ in range(READS_PER_TURN):
                packets.append(os.read(self._device.descriptor, MAX_PACKET))
        if packets:
            self._send(packets)

    def _send(self, packets: list[bytes]) -> None:
        self._look_at_losses()
        is_repeated = self._losses.is_lossy and not self._channel.connection.datagrams.waiting
        repeated = self._channel.max_datagram if is_repeated else 0
        self._flow.send(self._numbered.send(packets, repeated))
        if is_repeated and self._rest is None:
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(LAST_COPIES_AFTER, self._send_rest)

    def _send_rest(self) -> None:
        self._rest = None
        if copies := self._numbered.rest():
            self._flow.send(copies)

    def _write(self, datagrams: list[bytes]) -> None:
        for packet in self._unseen.receive(datagrams):
            with suppress(OSError):  # the device is down, or this is no packet: as lost
                os.write(self._device.descriptor, packet)

    def _look_at_losses(self) -> None:
        connection, before = self._channel.connection, self._losses.is_lossy
        now = connection.now()
        if now < self._look_at:
            return
        self._look_at = now + LOSSES_EVERY
        stats = connection.stats
        self._losses.look(stats.packets_sent, stats.packets_lost, now)
        if self._losses.is_lossy is not before:
            _log.debug1("packets of the tunnel are sent %s", "once" if before else "twice")

    async def _follow_path(self) -> None:
        while True:
            size = device_size(self._channel.max_datagram, self._device.mode)
            if size != self._size:
                self._size = size
                try:
                    await self._device.resize(self._device.name, size)
                except OSError as error:
                    _log.debug1("%s keeps its size: %s", self._device.name, error.strerror)
                    return
                _log.debug1("%s takes packets of %d bytes", self._device.name, size)
            await asyncio.sleep(LOOK_EVERY)


def tune(connection: Connection) -> None:
    """Adapt a connection that carries a tunnel: what is inside answers to loss already, and a
    controller that does so too (cubic) would have it pay twice."""
    if connection.engine.use_congestion_control("bbr", connection.now()):
        _log.debug1("bbr, for the tunnel")


def device_size(max_datagram: int, mode: int) -> int:
    """The MTU of a device whose packets go over a path that carries so much in one datagram."""
    head = NUMBER_SIZE + (ETHERNET_HEAD if mode == ETHERNET else 0)
    return max(MIN_SIZE, max_datagram - head)
