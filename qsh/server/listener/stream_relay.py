"""The process behind TcpPort: ends TLS, and hands each stream of QUIC packets to the listener.

    client ══ TLS ══ relay ══ socket pair ══ worker
                       └── first packet, addresses, the pair's other end ──► listener

It sees packets that it cannot read. The first one's connection ID tells the listener whose stream
it is; from then on the relay only copies. Holds no key that proves anything: its certificate is
made at its start, and no client looks at it. When the listener ends it takes no more streams, and
goes on with those that it has.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import ssl
import struct
import tempfile
import time

from qsh.config.server_settings import ServerSettings
from qsh.errors import NetworkError
from qsh.log import logger
from qsh.net.tasks import cancel, spawn
from qsh.quic.engine import ALPN
from qsh.quic.events import Address
from qsh.quic.identity import make_certificate, new_identity_key
from qsh.server import sandbox
from qsh.server.launch.forked import start_process
from qsh.server.listener.limits import RateLimit, Startups
from qsh.server.listener.newcomers import LINES_AT_ONCE, LINES_PER_SECOND
from qsh.server.listener.streams import encode_stream
from qsh.wire.packet_frames import LENGTH_BYTES

_log = logger("relay")

NAME = "qshd-relay"
FIRST_PACKET_SECONDS = 10.0
"""For TLS, and again for the first packet."""
MAX_STREAMS = 1024
ACCEPTS_PER_TURN = 16
COPY_SIZE = 256 * 1024
BACKLOG = 128
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SHORTAGE_SECONDS = 1.0
"""For some streams to end, before the next try to accept one."""


class StreamRelay:
    """In the process. `sockets` listen; `control` leads to the listener; `startups` counts the
    streams that have said nothing yet."""

    def __init__(self, control: socket.socket, sockets: list[socket.socket],
                 context: ssl.SSLContext, startups: Startups) -> None:
        self._control = control
        self._sockets = sockets
        self._context = context
        self._startups = startups
        self._lines = RateLimit(LINES_PER_SECOND, LINES_AT_ONCE)
        self._streams: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    async def run(self) -> None:
        """Until the listener and all streams have ended."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.add_reader(sock.fileno(), self._accept, sock)
        ended = asyncio.Event()
        loop.add_reader(self._control.fileno(), ended.set)
        await ended.wait()
        loop.remove_reader(self._control.fileno())
        for sock in self._sockets:
            loop.remove_reader(sock.fileno())
            sock.close()
        while self._streams:
            await asyncio.wait(self._streams)

    def _accept(self, listening: socket.socket) -> None:
        """Take who knocks, or turn them away before TLS costs anything."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, (host, port, *_) = listening.accept()
            except OSError as error:
                if error.errno in SHORTAGES:
                    self._pause(listening)
                return
            refusal = self._startups.refusal(host, os.urandom(1)[0] * 100 // 256)
            if not refusal and len(self._streams) >= MAX_STREAMS:
                refusal = "limit of streams"
            if refusal:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                if self._lines.allows(time.monotonic()):
                    _log.info("drop connection #%d from [%s]:%d past %s", len(self._startups),
                              host, port, refusal)  # fmt: skip
                continue
            sock.setblocking(False)
            number = next(self._numbers)
            self._startups.add(number, host)
            task = spawn(self._serve(number, sock), "stream")
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)

    def _pause(self, listening: socket.socket) -> None:
        """Who knocks cannot be let in now, and would wake us again at once."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening.fileno())
        loop.call_later(SHORTAGE_SECONDS, self._listen_again, listening)

    def _listen_again(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.add_reader(listening.fileno(), self._accept, listening)

    async def _serve(self, number: int, sock: socket.socket) -> None:
        writer = None
        try:
            reader, writer = await self._shake_hands(sock)
            async with asyncio.timeout(FIRST_PACKET_SECONDS):
                packet = await read_packet(reader)
            remote, local = (writer.get_extra_info(name)[:2] for name in ("peername", "sockname"))
            inner = hand_over(self._control, remote, local, packet)
            self._startups.remove(number)  # from here on the listener counts
            await copy_both(reader, writer, *await asyncio.open_unix_connection(sock=inner))
        except (OSError, EOFError, TimeoutError) as error:
            _log.debug1("a stream ends: %s", error)
        finally:
            self._startups.remove(number)
            if writer is None:
                sock.close()
            else:
                writer.close()

    async def _shake_hands(
        self, sock: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TLS. Raises OSError."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=COPY_SIZE)
        transport, protocol = await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader), sock, ssl=self._context,
            ssl_handshake_timeout=FIRST_PACKET_SECONDS,
        )  # fmt: skip
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The first packet of a stream. Raises EOFError, OSError."""
    size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    return await reader.readexactly(size)


def hand_over(control: socket.socket, remote: Address, local: Address,
              packet: bytes) -> socket.socket:
    """Tell the listener of a stream; our end of it. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        socket.send_fds(control, [encode_stream(remote, local, packet)], [theirs.fileno()])
    return ours


async def copy_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                    inner_reader: asyncio.StreamReader,
                    inner_writer: asyncio.StreamWriter) -> None:
    """Until either side ends."""
    copies = [spawn(_copy(reader, inner_writer), "stream in"),
              spawn(_copy(inner_reader, writer), "stream out")]  # fmt: skip
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*copies)
        inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(COPY_SIZE):
            writer.write(data)
            await writer.drain()


def _tls_context() -> ssl.SSLContext:
    """With a certificate that nobody looks at."""
    identity = make_certificate(new_identity_key(), b"")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([ALPN])
    with tempfile.NamedTemporaryFile("w") as file:  # 0600; ssl takes files only
        file.write(ssl.DER_cert_to_PEM_cert(identity.certificate_der))
        file.write(_key_pem(identity.private_key_der))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _key_pem(der: bytes) -> str:
    from base64 import encodebytes

    body = encodebytes(der).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n"


def open_stream_listeners(settings: ServerSettings) -> list[socket.socket]:
    """The TCP sockets of TcpPort, on the addresses of ListenAddress. Raises NetworkError."""
    port, sockets = settings.tcp_port, list[socket.socket]()
    if port is None:
        return []
    for host in dict.fromkeys(listen.host for listen in settings.listen_addresses):
        try:
            found = socket.getaddrinfo(host or None, port, 0, socket.SOCK_STREAM, 0,
                                       socket.AI_PASSIVE)  # fmt: skip
        except socket.gaierror as error:
            raise NetworkError(f"bad ListenAddress {host}: {error.strerror}") from None
        for family, _, _, _, address in found:
            try:
                sockets.append(_listen(family, address))
            except OSError as error:
                if host:
                    raise NetworkError(
                        f"cannot listen on {address[0]} port {port}/tcp: {error.strerror}"
                    ) from None
    if not sockets:
        raise NetworkError(f"cannot listen on port {port}/tcp")
    return sockets


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def start_stream_relay(
    sockets: list[socket.socket], settings: ServerSettings, empty_folder: str | None
) -> socket.socket | None:
    """Fork it; the listener's way to it, or None if there is nothing to listen on. The sockets are
    its own from then on. Raises OSError."""
    if not sockets:
        return None

    def run(control: socket.socket) -> None:
        context = _tls_context()
        startups = Startups(settings.max_startups, settings.per_source_max_startups,
                            *settings.per_source_net_block_size)  # fmt: skip
        loop = asyncio.new_event_loop()  # needs descriptors, not rights
        sandbox.leave_root(empty_folder)
        sandbox.enter_worker_cage(empty_folder, keeps_output=True)
        control.setblocking(False)
        loop.run_until_complete(StreamRelay(control, sockets, context, startups).run())

    try:
        return start_process(NAME, run, *(sock.fileno() for sock in sockets))
    finally:
        for sock in sockets:
            sock.close()
