"""SOCKS 4, 4a and 5 as a server speaks them, without I/O.

    bytes of an application → Connect(host, port) | Associate() → the reply's bytes

RFC 1928 (SOCKS 5; CONNECT and UDP ASSOCIATE, without authentication), and the SOCKS 4 and 4a memos.
Names are passed on unresolved, so that the far side resolves them. May not connect to anything.
"""

import ipaddress
from enum import Enum, auto

from qsh.errors import QshError
from qsh.record import record

# From the specifications.
VERSION_4 = 4
VERSION_5 = 5
COMMAND_CONNECT = 1
COMMAND_ASSOCIATE = 3
NO_AUTHENTICATION = 0
NO_ACCEPTABLE_METHOD = 0xFF
ADDRESS_IPV4, ADDRESS_NAME, ADDRESS_IPV6 = 1, 3, 4
GRANTED_4, REJECTED_4 = 90, 91

# Ours.
MAX_TEXT = 255
"""Bytes of a user name or host name in SOCKS 4, which has no bound of its own."""
MAX_GREETING = 2 + 255
MAX_REQUEST = 9 + 2 * (MAX_TEXT + 1)
"""Bytes of the longest request, a SOCKS 4a one."""


class Reply(Enum):
    """SOCKS 5 reply codes (RFC 1928 section 6)."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


class SocksError(QshError):
    """The application does not speak SOCKS as we do; `reply` is what to send before closing."""

    def __init__(self, message: str, reply: bytes = b"") -> None:
        super().__init__(message)
        self.reply = reply


@record
class Connect:
    """A TCP connection to `host` (an address or a name) and `port` is wanted."""

    host: str
    port: int


@record
class Associate:
    """A UDP relay is wanted (RFC 1928 section 7). `host` and `port` say where the application
    will send from; zeros if it does not know."""

    host: str
    port: int


class _Stage(Enum):
    GREETING = auto()
    REQUEST = auto()
    DONE = auto()


class SocksServer:
    """One application's dialogue. After a request, `reply` gives the answer; what the application
    sent behind its request is in `rest`."""

    def __init__(self) -> None:
        self.version = 0
        self.rest = b""
        self._buffer = b""
        self._stage = _Stage.GREETING
        self._to_send = b""

    def receive(self, data: bytes) -> Connect | Associate | None:
        """Take bytes; gives the request once it is complete. Raises SocksError."""
        assert self._stage is not _Stage.DONE
        self._buffer += data
        if self._stage is _Stage.GREETING and not self._receive_greeting():
            return None
        return self._receive_request_5() if self.version == VERSION_5 else self._receive_4()

    def data_to_send(self) -> bytes:
        """What the application is to be told meanwhile."""
        data, self._to_send = self._to_send, b""
        return data

    def reply(self, code: Reply, host: str = "0.0.0.0", port: int = 0) -> bytes:  # noqa: S104
        """The answer to the request; `host` and `port` as bound (RFC 1928 section 6)."""
        if self.version == VERSION_4:
            status = GRANTED_4 if code is Reply.SUCCEEDED else REJECTED_4
            return bytes((0, status)) + bytes(6)
        return bytes((VERSION_5, code.value, 0)) + encode_address(host, port)

    def _receive_greeting(self) -> bool:
        """The version, and for SOCKS 5 the choice of a method; False while it is incomplete."""
        if not self._buffer:
            return False
        self.version = self._buffer[0]
        if self.version == VERSION_4:
            self._stage = _Stage.REQUEST
            return True
        if self.version != VERSION_5:
            raise SocksError(f"not SOCKS: first byte {self.version}")
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return False
        end = 2 + self._buffer[1]
        if NO_AUTHENTICATION not in self._buffer[2:end]:
            refusal = bytes((VERSION_5, NO_ACCEPTABLE_METHOD))
            raise SocksError("the application insists on SOCKS authentication", refusal)
        self._buffer = self._buffer[end:]
        self._to_send = bytes((VERSION_5, NO_AUTHENTICATION))
        self._stage = _Stage.REQUEST
        return True

    def _finish(self, end: int) -> None:
        self.rest, self._buffer = self._buffer[end:], b""
        self._stage = _Stage.DONE

    def _receive_request_5(self) -> Connect | Associate | None:
        if len(self._buffer) < 4:
            return None
        version, command, _, kind = self._buffer[:4]
        if version != VERSION_5:
            raise SocksError("a SOCKS 5 request of another version", self.reply(Reply(1)))
        if kind not in (ADDRESS_IPV4, ADDRESS_NAME, ADDRESS_IPV6):
            reply = self.reply(Reply.ADDRESS_TYPE_NOT_SUPPORTED)
            raise SocksError(f"SOCKS address type {kind} is unknown", reply)
        parsed = parse_address(self._buffer[3:])
        if parsed is None:
            return None
        host, port, length = parsed
        if command not in (COMMAND_CONNECT, COMMAND_ASSOCIATE):
            reply = self.reply(Reply.COMMAND_NOT_SUPPORTED)
            raise SocksError(f"SOCKS command {command} is not supported", reply)
        self._finish(3 + length)
        return Connect(host, port) if command == COMMAND_CONNECT else Associate(host, port)

    def _receive_4(self) -> Connect | None:
        """version, command, port, address, user NUL, and for 4a: name NUL."""
        if len(self._buffer) > MAX_REQUEST and self._buffer.count(0, 8, MAX_REQUEST) < 2:
            raise SocksError("a SOCKS 4 request without end", self.reply(Reply.GENERAL_FAILURE))
        if len(self._buffer) < 9:
            return None
        if self._buffer[1] != COMMAND_CONNECT:
            reply = self.reply(Reply.COMMAND_NOT_SUPPORTED)
            raise SocksError(f"SOCKS command {self._buffer[1]} is not supported", reply)
        port = int.from_bytes(self._buffer[2:4], "big")
        address = self._buffer[4:8]
        user_end = self._buffer.find(0, 8)
        if user_end < 0:
            return None
        if address[:3] != b"\0\0\0" or address[3] == 0:
            self._finish(user_end + 1)
            return Connect(str(ipaddress.IPv4Address(address)), port)
        name_end = self._buffer.find(0, user_end + 1)
        if name_end < 0:
            return None
        host = _name(self._buffer[user_end + 1 : name_end], self.reply(Reply.GENERAL_FAILURE))
        self._finish(name_end + 1)
        return Connect(host, port)


def parse_address(data: bytes) -> tuple[str, int, int] | None:
    """(host, port, bytes used) of type, address, port (RFC 1928 section 5); None while it is
    incomplete. Raises SocksError."""
    if not data:
        return None
    kind = data[0]
    if kind == ADDRESS_NAME:
        if len(data) < 2:
            return None
        start, end = 2, 2 + data[1]
    elif kind in (ADDRESS_IPV4, ADDRESS_IPV6):
        start, end = 1, 1 + (4 if kind == ADDRESS_IPV4 else 16)
    else:
        raise SocksError(f"SOCKS address type {kind} is unknown")
    if len(data) < end + 2:
        return None
    raw, port = data[start:end], int.from_bytes(data[end : end + 2], "big")
    host = _name(raw) if kind == ADDRESS_NAME else str(ipaddress.ip_address(raw))
    return host, port, end + 2


def encode_address(host: str, port: int) -> bytes:
    """Type, address, port (RFC 1928 section 5). A name is at most 255 bytes."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")[:MAX_TEXT]
        return bytes((ADDRESS_NAME, len(name))) + name + port.to_bytes(2, "big")
    kind = ADDRESS_IPV4 if address.version == 4 else ADDRESS_IPV6
    return bytes((kind,)) + address.packed + port.to_bytes(2, "big")


@record
class UdpDatagram:
    """A datagram of a UDP association: where it goes to, or came from."""

    host: str
    port: int
    payload: bytes


def decode_udp(data: bytes) -> UdpDatagram | None:
    """RFC 1928 section 7. None for what is to be dropped: malformed, or a fragment (which a relay
    need not support)."""
    if len(data) < 4 or data[:3] != b"\0\0\0":
        return None
    try:
        parsed = parse_address(data[3:])
    except SocksError:
        return None
    if parsed is None:
        return None
    host, port, length = parsed
    return UdpDatagram(host, port, data[3 + length :])


def encode_udp(datagram: UdpDatagram) -> bytes:
    """The opposite of `decode_udp`."""
    return b"\0\0\0" + encode_address(datagram.host, datagram.port) + datagram.payload


def _name(raw: bytes, reply: bytes = b"") -> str:
    """A host name as it may be passed on: printable ASCII, not empty."""
    if not raw or len(raw) > MAX_TEXT or not all(33 <= byte < 127 for byte in raw):
        raise SocksError("a host name that is none", reply)
    return raw.decode("ascii")
