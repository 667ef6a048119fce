"""What `qsh --doctor` asks of one path: size, unreliable datagrams, a change of port."""

import asyncio
from collections.abc import Callable

from qsh.client.dial.link import link_opener
from qsh.client.doctor.report import Finding, Level
from qsh.config.client_settings import ClientSettings
from qsh.net.connection import Connection
from qsh.net.endpoint import Endpoint
from qsh.quic.engine import MIN_DATAGRAM_SIZE

SIZE_PATIENCE = 4.0
DATAGRAM_PATIENCE = 3.0
MOVE_PATIENCE = 5.0
"""Seconds."""
SETTLED = 1.0
"""Seconds without a larger datagram after which none is expected any more."""
TURN = 0.05
HEADERS = {True: 48, False: 28}
"""Bytes of IP and UDP around a payload; True for IPv6."""


async def check_move(endpoint: Endpoint, connection: Connection,
                     settings: ClientSettings) -> Finding:
    """What a NAT does to a client that was silent: another port, in the middle of it."""
    open_link = link_opener(settings, is_interactive=True)
    try:
        link = open_link(endpoint, settings.bind_address)
    except OSError as error:
        return Finding("moving", Level.WARNING, f"no second socket: {error.strerror}")
    connection.paths.use(link)
    connection.moved()
    if await _within(MOVE_PATIENCE, lambda: connection.paths.is_heard, connection):
        text = "a change of network is followed: the server answers at another port of ours"
        return Finding("moving", Level.PASS, text)
    return Finding(
        "moving", Level.WARNING, "the server does not follow to another port of ours",
        "a change of network will cost a new connection, which sessions outlive; a firewall "
        "before the server may drop packets whose beginning it has not seen",
    )  # fmt: skip


async def _within(seconds: float, condition: Callable[[], bool], connection: Connection) -> bool:
    """Whether the condition comes to hold in that time, on a living connection."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition() and loop.time() < end and not connection.is_over:
        await asyncio.sleep(TURN)
    return condition() and not connection.is_over


async def check_size(endpoint: Endpoint, connection: Connection) -> Finding:
    """How large datagrams may be: what discovery (RFC 8899) finds."""
    loop = asyncio.get_running_loop()
    begin = last = loop.time()
    size = 0
    while loop.time() < min(begin + SIZE_PATIENCE, last + SETTLED) and not connection.is_over:
        if connection.stats.datagram_size != size:
            size, last = connection.stats.datagram_size, loop.time()
        await asyncio.sleep(TURN)
    mtu = size + HEADERS[":" in endpoint.sockaddr[0]]
    facts = (("datagram", size), ("mtu", mtu))
    if size > MIN_DATAGRAM_SIZE:
        text = f"datagrams of {size} bytes pass (a path MTU of {mtu} at least)"
        return Finding("mtu", Level.PASS, text, facts=facts)
    return Finding(
        "mtu", Level.WARNING, f"nothing larger than {size} bytes passes",
        "it works, slower; a tunnel on the way may need a larger MTU", facts,
    )  # fmt: skip


async def check_datagrams(connection: Connection) -> Finding:
    """Whether DATAGRAM frames (RFC 9221) arrive: forwarded UDP, tunnels and jumps ride on them.
    The server drops one that comes before the login, and acknowledges its packet."""
    limit = connection.engine.max_datagram_payload
    if limit is None:
        return Finding("datagrams", Level.WARNING, "the server takes no unreliable datagrams",
                       "UDP forwards and tunnels will go by streams")  # fmt: skip
    lost = connection.stats.packets_lost
    connection.engine.send_datagrams([bytes(limit)])
    connection.push()
    arrived = await _within(
        DATAGRAM_PATIENCE, lambda: connection.stats.bytes_in_flight == 0, connection
    )
    if not arrived or connection.stats.packets_lost > lost:
        return Finding("datagrams", Level.WARNING, f"a datagram of {limit} bytes was lost",
                       "the path loses packets, or large ones")  # fmt: skip
    text = f"unreliable datagrams arrive, up to {limit} bytes"
    return Finding("datagrams", Level.PASS, text, facts=(("payload", limit),))
