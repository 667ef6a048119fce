"""Agent forwarding: the far side's sessions ask the agent at this side (OpenSSH's PROTOCOL.agent).

Each connection begins with its binding to the host that it is forwarded to, so that keys for
certain destinations (`ssh-add -h`) serve there, and further on, only as far as their user meant.
"""

import asyncio
import socket

from qsh.auth.blobs import string
from qsh.errors import OpenFailure
from qsh.forward.relay import relay
from qsh.forward.sockets import Sockets, explain
from qsh.log import logger
from qsh.net.channel import Channel

_log = logger("agent")

MAX_REPLY = 256 * 1024
PATIENCE = 10.0
"""Seconds for the agent to answer the binding."""


async def serve(channel: Channel, sockets: Sockets, path: str, bind: bytes) -> None:
    """Connect a channel of the server's to the agent at `path`; `bind` is said first
    (auth.agent.session_bind)."""
    try:
        sock = await sockets.connect_unix(path)
    except OSError as error:
        _log.error("cannot reach the agent at %s: %s", path, explain(error))
        channel.refuse(OpenFailure.CONNECT_FAILED, "no agent")
        return
    try:
        async with asyncio.timeout(PATIENCE):
            await _bind(sock, bind)
    except (OSError, ValueError) as error:
        _log.error("the agent at %s does not answer: %s", path, error)
        channel.refuse(OpenFailure.CONNECT_FAILED, "no agent")
        sock.close()
        return
    channel.accept()
    await relay(channel, sock)


async def _bind(sock: socket.socket, message: bytes) -> None:
    """Send it and take the answer, whatever it is. Raises OSError, ValueError."""
    await asyncio.get_running_loop().sock_sendall(sock, string(message))
    length = int.from_bytes(await _exactly(sock, 4), "big")
    if not 0 < length <= MAX_REPLY:
        raise ValueError("it does not speak the agent's protocol")
    await _exactly(sock, length)


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < count:
        piece = await loop.sock_recv(sock, count - len(data))
        if not piece:
            raise ConnectionResetError(0, "it closed the connection")
        data += piece
    return data
