"""From the relay of TcpPort to the listener: one stream, and what began it.

    byte length, the client's address in text | uint16 port
    byte length, our address in text          | uint16 port
    the first packet

on a SOCK_SEQPACKET socket pair, with the descriptor of the stream: QUIC packets with their lengths
(qsh.wire.packet_frames), without that first one. The relay faces strangers, and may be in one's
hands: what it says ends nothing but the stream that it speaks of.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server.descriptors import receive_with
from qsh.server.listener.udp_sockets import Received

_log = logger("listener")

MAX_MESSAGE = 65535 + 256
STREAMS_PER_TURN = 16


def encode_stream(remote: Address, local: Address, packet: bytes) -> bytes:
    """A message."""
    return b"".join((*_address(remote), *_address(local), packet))


def _address(address: Address) -> tuple[bytes, bytes, bytes]:
    host = address[0].partition("%")[0].encode()
    return bytes((len(host),)), host, address[1].to_bytes(2, "big")


def decode_stream(message: bytes) -> Received:
    """What the message says. Raises DecodeError."""
    remote, at = _take_address(message, 0)
    local, at = _take_address(message, at)
    return Received(message[at:], remote, local)


def _take_address(message: bytes, at: int) -> tuple[Address, int]:
    end = at + 1 + (message[at] if at < len(message) else 0)
    if end + 2 > len(message):
        raise DecodeError("stream without an address")
    try:
        host = message[at + 1 : end].decode("ascii")
        ipaddress.ip_address(host)
    except ValueError:
        raise DecodeError("stream without an address") from None
    return (host, int.from_bytes(message[end : end + 2], "big")), end + 2


def take_streams(control: socket.socket) -> Iterator[tuple[socket.socket, Received]]:
    """The streams that are there. Raises EOFError when the relay has ended."""
    for _ in range(STREAMS_PER_TURN):
        try:
            message, descriptors = receive_with(control, MAX_MESSAGE, 1)
        except BlockingIOError:
            return
        except OSError:
            message, descriptors = b"", []
        if not message:
            raise EOFError
        try:
            stream = _take_stream(descriptors)
            received = decode_stream(message)
        except DecodeError as error:
            _log.error("relay: %s", error)
            continue
        yield stream, received


def _take_stream(descriptors: list[int]) -> socket.socket:
    """The stream's end. Raises DecodeError for anything else: by a UDP socket the listener would
    be led to bind an address of the relay's choice."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # no socket
            stream = socket.socket(fileno=descriptor)
            if is_stream(stream) and stream.type == socket.SOCK_STREAM:
                return stream
            stream.close()
            continue
        os.close(descriptor)
    raise DecodeError("a message without its stream")


def is_stream(sock: socket.socket) -> bool:
    """Whether a client's socket is a stream of packets, not UDP."""
    return sock.family == socket.AF_UNIX
