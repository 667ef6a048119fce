"""Messages of the control stream beside the login: RFC 4254 section 4, RFC 4253 section 11.

Data only. Global requests have bodies by name; unknown ones arrive as UnknownGlobal and are
answered with failure.
"""

from typing import ClassVar, Self

from qsh.errors import DecodeError
from qsh.record import record
from qsh.wire import forward_messages, session_messages
from qsh.wire.codec import Reader, Registry, Rest, UInt32, Writer, decode_body, encode_body, message

MAX_KEYS = 64
"""Host keys in one message."""


@message(2)
@record
class Ignore:
    """RFC 4253 section 11.2; also what keeps the protocol from ossifying (PROTOCOL.md, GREASE)."""

    data: bytes


@message(4)
@record
class Debug:
    """RFC 4253 section 11.3."""

    always_display: bool
    text: str
    language: str = ""


@message(80)
@record
class GlobalRequest:
    """RFC 4254 section 4."""

    name: str
    want_reply: bool
    body: Rest


@message(81)
@record
class RequestSuccess:
    """RFC 4254 section 4; answers come in the order of the requests."""

    body: Rest


@message(82)
@record
class RequestFailure:
    """RFC 4254 section 4."""


GLOBAL = Registry(Ignore, Debug, GlobalRequest, RequestSuccess, RequestFailure)


def _read_strings(reader: Reader) -> tuple[bytes, ...]:
    strings: list[bytes] = []
    while not reader.at_end:
        if len(strings) == MAX_KEYS:
            raise DecodeError("too many host keys")
        strings.append(reader.string())
    return tuple(strings)


@record
class HostKeysAnnounce:
    """All host keys of the server, as public key blobs: OpenSSH's PROTOCOL section 2.5."""

    name: ClassVar[str] = "hostkeys-00@openssh.com"
    keys: tuple[bytes, ...]

    def write(self, writer: Writer) -> None:
        for key in self.keys:
            writer.string(key)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(_read_strings(reader))


@record
class HostKeysList:
    """Asks for the server's host keys, before the login too: the answer is the body of a
    HostKeysAnnounce."""

    name: ClassVar[str] = "hostkeys-list@qsh"


@record
class HostKeysProve:
    """Asks for a signature by each of these host keys: OpenSSH's PROTOCOL section 2.5."""

    name: ClassVar[str] = "hostkeys-prove-00@openssh.com"
    keys: tuple[bytes, ...]

    def write(self, writer: Writer) -> None:
        for key in self.keys:
            writer.string(key)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(_read_strings(reader))


@record
class HostKeysProof:
    """The answer to HostKeysProve: one signature per key, in its order."""

    signatures: tuple[bytes, ...]

    def write(self, writer: Writer) -> None:
        for signature in self.signatures:
            writer.string(signature)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(_read_strings(reader))


@record
class SessionProve:
    """Asks for the host key's signature over the session identifier alone."""

    name: ClassVar[str] = "session-prove@qsh"


@record
class SessionProof:
    """The answer to SessionProve."""

    signature: bytes


@record
class PathSeen:
    """From the server: the address that the client's packets come from now, validated (RFC 9000
    section 8.2). Wants no reply."""

    name: ClassVar[str] = "path-seen@qsh"
    host: str
    port: UInt32


@record
class UnknownGlobal:
    """A global request that this version does not know; the answer is failure."""

    name: str
    data: bytes


GLOBALS: dict[str, type] = {
    cls.name: cls
    for cls in (
        HostKeysAnnounce, HostKeysList, HostKeysProve, SessionProve, PathSeen,
        *forward_messages.GLOBALS, *session_messages.GLOBALS,
    )
}


def decode_global(name: str, data: bytes) -> object:
    """The body of a GlobalRequest. Raises DecodeError."""
    cls = GLOBALS.get(name)
    return decode_body(cls, data) if cls else UnknownGlobal(name, data)


def encode_global(body: object) -> bytes:
    """The data of a global request, also of one that this version does not know."""
    return body.data if isinstance(body, UnknownGlobal) else encode_body(body)
