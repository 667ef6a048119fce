"""A link over a UDP flow of another connection: QUIC datagrams in QUIC datagrams.

The path is what the outer connection carries in one datagram: larger packets are probes of the
path's MTU and are lost, as on any path, so that the inner connection learns its own. Packets of
the size that every path must carry (RFC 9000 section 14) go over the flow's stream where they do
not fit.
"""

import asyncio
import errno

from qsh.errors import ChannelOpenError, NetworkError
from qsh.forward.datagram_socket import runs
from qsh.forward.flow import Flow, Oversize
from qsh.log import logger
from qsh.net import offload
from qsh.net.channel import Channel
from qsh.net.tasks import spawn
from qsh.net.udp import DatagramReceiver, LinkEndedError
from qsh.quic.engine import MIN_DATAGRAM_SIZE, Transmit
from qsh.quic.events import Address

_log = logger("jump")


class FlowLink:
    """Packets over a channel of type `direct-udp@qsh` that we opened."""

    def __init__(self, channel: Channel, local: Address, remote: Address) -> None:
        self._channel = channel
        self._local = local
        self._remote = remote
        self._receiver: DatagramReceiver | None = None
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._flow = Flow(channel, self._receive, Oversize.STREAM)
        self._has_ended_batch = True
        self._opening = spawn(self._open(), "flow to the next host")

    @property
    def local(self) -> Address:
        """Our end, as the outer connection has it."""
        return self._local

    @property
    def remote(self) -> Address | None:
        """The far end."""
        return self._remote

    @property
    def largest_payload(self) -> int:
        """Ethernet's: what comes after this link is not known."""
        return offload.ETHERNET_PAYLOAD

    @property
    def is_writable(self) -> bool:
        """Always: what is too much is dropped, as by any router."""
        return True

    def start(self, receiver: DatagramReceiver) -> None:
        """Hand over what arrives, from now on."""
        self._receiver = receiver

    def send(self, transmits: list[Transmit]) -> None:
        """Send each datagram, now or never."""
        if self._is_closed:
            return
        largest = max(self._channel.max_datagram, MIN_DATAGRAM_SIZE)
        for transmit in transmits:
            packets = offload.split(transmit.data, transmit.segment_size)
            self._flow.send([packet for packet in packets if len(packet) <= largest])

    def close(self) -> None:
        """End the flow."""
        if self._is_closed:
            return
        self._is_closed = True
        self._opening.cancel()
        self._flow.close()

    async def _open(self) -> None:
        try:
            await self._channel.opened()
            self._flow.opened()
            await self._channel.wait_closed()
        except ChannelOpenError as error:
            self._fail(f"the jump host opens no way to it: {error}")
        except NetworkError as error:
            self._fail(f"the jump host is gone: {error}")
        else:
            self._fail("the jump host has closed the way")

    def _fail(self, text: str) -> None:
        if self._receiver is not None and not self._is_closed:
            self._receiver.link_failed(LinkEndedError(errno.ECONNRESET, text))

    def _receive(self, packets: list[bytes]) -> None:
        if self._receiver is None or self._is_closed:
            return
        for run in runs(packets):
            self._receiver.receive_datagrams(b"".join(run), len(run[0]), self._remote)
        if self._has_ended_batch:
            self._has_ended_batch = False
            self._loop.call_soon(self._end_batch)

    def _end_batch(self) -> None:
        self._has_ended_batch = True
        if self._receiver is not None and not self._is_closed:
            self._receiver.batch_ended()
