"""`qshd -i`: one connection, whose QUIC packets come and go on standard input and output.

For inetd, and as what a ProxyCommand leads to (`ssh host qshd -i`). The same processes as ever,
without a port: a copier takes the place of TcpPort's relay, and when it ends all is over.
"""

import asyncio
import ipaddress
import os
import socket
import stat

from qsh.config.server import ServerConfig
from qsh.errors import ConfigError
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server import sandbox
from qsh.server.launch.forked import start_process
from qsh.server.launch.host_keys import HostKeyProcess
from qsh.server.launch.launcher import start_launcher
from qsh.server.launch.zygote import start_zygote
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.listener.listener import Listener, Supplies
from qsh.server.listener.stream_relay import FIRST_PACKET_SECONDS, copy_both, hand_over, read_packet
from qsh.server.listener.supply import Supply
from qsh.server.listener.udp_sockets import SocketAddress, plain

_log = logger("relay")

NAME = "qshd-relay"
UNKNOWN: Address = ("0.0.0.0", 0)  # noqa: S104
"""Who is at the other end of a pipe: nobody can tell. An address that no pattern of `from=` or
`Match Address` grants anything, unless to everybody; 127.0.0.1 would be taken for this machine's
users, and the pipe may lead to anybody."""


def take_standard_files() -> tuple[int, int]:
    """Copies of standard input and output, which then lead nowhere: no other process of ours may
    keep the stream open."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
    return source, sink


def serve_one(config: ServerConfig, host_keys: HostKeyProcess | None,
              standard: tuple[int, int], empty: str | None) -> None:
    """Serve the connection, until the stream is over. `standard` is what `take_standard_files`
    gave. Raises OSError."""
    streams = start_process(NAME, lambda control: _relay(control, *standard, empty), *standard)
    for descriptor in standard:
        os.close(descriptor)
    zygote = start_zygote(config, empty)  # before there is any secret
    keys = ServerKeys.generate()
    supplies = Supplies(
        Supply("the zygote", lambda: start_zygote(config, empty, keys.wipe), zygote),
        Supply("the launcher", lambda: start_launcher(config, keys, "", None),
               start_launcher(config, keys, "", host_keys)),
    )  # fmt: skip
    listener = Listener(config.settings, [], keys, supplies, folder="", streams=streams,
                        restart=_refuse)  # fmt: skip
    listener.begin()
    listener.run()


def _refuse(_sockets: list[socket.socket]) -> None:
    raise ConfigError("qshd -i reads its configuration once")


def _relay(control: socket.socket, source: int, sink: int, empty: str | None) -> None:
    remote, local = _ends(source)
    loop = asyncio.new_event_loop()
    sandbox.leave_root(empty)
    sandbox.enter_worker_cage(empty, keeps_output=True)
    control.setblocking(False)
    loop.run_until_complete(_carry(control, source, sink, remote, local))


def _ends(descriptor: int) -> tuple[Address, Address]:
    """The addresses of both ends; unknown ones for a pipe. Raises OSError."""
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                return _plain(sock.getpeername()), _plain(sock.getsockname())
    return UNKNOWN, UNKNOWN


def _plain(address: SocketAddress) -> Address:
    """An IPv4 client of a socket for both families by its own address: patterns like 192.0.2.*
    are written for that."""
    host, port = plain(address)
    mapped = getattr(ipaddress.ip_address(host), "ipv4_mapped", None)
    return str(mapped or host), port


async def _carry(control: socket.socket, source: int, sink: int, remote: Address,
                 local: Address) -> None:
    reader, writer = await _streams(source, sink)
    try:
        async with asyncio.timeout(FIRST_PACKET_SECONDS):
            packet = await read_packet(reader)
        inner = hand_over(control, remote, local, packet)
        await copy_both(reader, writer, *await asyncio.open_unix_connection(sock=inner))
    except (OSError, EOFError, TimeoutError) as error:
        _log.info("no connection on standard input: %s", error or type(error).__name__)


async def _streams(source: int, sink: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """asyncio's way to use descriptors: a socket for both directions, or a pipe for each."""
    if stat.S_ISSOCK(os.fstat(source).st_mode):
        sock = socket.socket(fileno=source)
        sock.setblocking(False)
        return await asyncio.open_connection(sock=sock)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)
