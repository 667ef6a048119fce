"""ProxyCommand: a program of the user's that leads to the server.

Its standard input and output are one stream of QUIC packets with their lengths; `qshd -i` is the
other end of such a stream. With ProxyUseFdpass it gives us a connected socket instead, and ends: a
UDP socket is used as any other, a stream socket carries packets with their lengths.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess

from qsh import log
from qsh.config.client_settings import ClientSettings
from qsh.errors import NetworkError
from qsh.net.stream_link import StreamLink
from qsh.net.tasks import in_thread
from qsh.net.udp import DatagramLink, UdpLink
from qsh.quic.events import Address

FDPASS_SECONDS = 30.0
"""For a command to pass its socket."""

_log = log.logger("proxy")


class CommandLink(StreamLink):
    """The stream to a command, which ends with it."""

    def __init__(self, sock: socket.socket, process: "subprocess.Popen[bytes]",
                 local: Address, remote: Address) -> None:
        super().__init__(sock, local, remote, "the ProxyCommand")
        self._process = process

    def close(self) -> None:
        """Hang up; the command is told, as ssh(1) does."""
        super().close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)


def start(command: str) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Run the command by the user's shell, with one socket as its input and output. Raises
    NetworkError."""
    ours, theirs = socket.socketpair()
    shell = os.environ.get("SHELL") or "/bin/sh"
    _log.debug1("Executing proxy command: exec %s", command)
    try:
        process = subprocess.Popen([shell, "-c", f"exec {command}"],
                                   stdin=theirs.fileno(), stdout=theirs.fileno())
    except OSError as error:
        ours.close()
        raise NetworkError(f"cannot run the ProxyCommand by {shell}: {error.strerror}") from None
    finally:
        theirs.close()
    return ours, process


async def open_proxy(settings: ClientSettings, here: Address, there: Address) -> DatagramLink:
    """A link by the command of the settings. `here` and `there` are what its ends are called.
    Raises NetworkError."""
    assert settings.proxy_command is not None
    sock, process = start(settings.proxy_command)
    if not settings.proxy_use_fdpass:
        return CommandLink(sock, process, here, there)
    with sock:
        try:
            async with asyncio.timeout(settings.connect_timeout or FDPASS_SECONDS):
                passed = await in_thread(_take_socket, sock)
        except TimeoutError:
            process.kill()
            raise NetworkError("the ProxyCommand passes no socket") from None
    await in_thread(process.wait)
    return _link_on(passed, here, there)


def _take_socket(sock: socket.socket) -> socket.socket:
    try:
        _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
    except OSError:
        descriptors = []
    if not descriptors:
        raise NetworkError("the ProxyCommand ended without passing a socket (ProxyUseFdpass)")
    return socket.socket(fileno=descriptors[0])


def _link_on(sock: socket.socket, here: Address, there: Address) -> DatagramLink:
    sock.setblocking(False)
    if sock.type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) == socket.SOCK_DGRAM:
        return UdpLink(sock)
    return StreamLink(sock, here, there, "the socket of the ProxyCommand")
