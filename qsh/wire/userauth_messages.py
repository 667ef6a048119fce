"""Messages of the login dialogue: RFC 4252, RFC 4256, RFC 8308, OpenSSH's PROTOCOL section 1.

Data only. Numbers 60 and 61 mean different things to different methods, so they are decoded by
the registry of the method in progress.
"""

from typing import ClassVar, Self

from qsh.errors import DecodeError
from qsh.record import hidden, record
from qsh.wire.codec import NameList, Reader, Registry, Rest, Writer, message

SERVICE = "ssh-connection"
ADDENDUM = "version-addendum@qsh"
"""The extension by which either side says a word about itself to people."""
MAX_PROMPTS = 64
"""Prompts or responses in one message: more than any PAM stack asks at once."""


@message(7)
@record
class ExtInfo:
    """RFC 8308 section 2.3: the first message of the login, if at all, from either side."""

    extensions: tuple[tuple[str, bytes], ...]

    def write(self, writer: Writer) -> None:
        writer.uint32(len(self.extensions))
        for name, value in self.extensions:
            writer.text(name).string(value)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        count = reader.uint32()
        if count > MAX_PROMPTS:
            raise DecodeError("too many extensions")
        return cls(tuple((reader.text(), reader.string()) for _ in range(count)))


@message(50)
@record
class UserauthRequest:
    """RFC 4252 section 5. `body` is the method's own: one of the `…Request` bodies below."""

    user: str
    service: str
    method: str
    body: Rest = hidden()  # it may hold a password


@message(51)
@record
class UserauthFailure:
    """RFC 4252 section 5.1. `methods` may still succeed; `partial`: one step is done."""

    methods: NameList
    partial: bool


@message(52)
@record
class UserauthSuccess:
    """RFC 4252 section 5.1."""


@message(53)
@record
class UserauthBanner:
    """RFC 4252 section 5.4."""

    text: str
    language: str = ""


@message(60)
@record
class PublicKeyOk:
    """RFC 4252 section 7: a signature by this key would be accepted."""

    algorithm: str
    key_blob: bytes


@message(60)
@record
class PasswordChangeRequest:
    """RFC 4252 section 8."""

    prompt: str
    language: str = ""


@record
class Prompt:
    """One question of keyboard-interactive. `echo`: what is typed may be shown."""

    text: str
    echo: bool


@message(60)
@record
class InfoRequest:
    """RFC 4256 section 3.2."""

    name: str
    instruction: str
    prompts: tuple[Prompt, ...]

    def write(self, writer: Writer) -> None:
        writer.text(self.name).text(self.instruction).text("").uint32(len(self.prompts))
        for prompt in self.prompts:
            writer.text(prompt.text).boolean(prompt.echo)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        name, instruction, _language = reader.text(), reader.text(), reader.text()
        count = reader.uint32()
        if count > MAX_PROMPTS:
            raise DecodeError("too many prompts")
        prompts = tuple(Prompt(reader.text(), reader.boolean()) for _ in range(count))
        return cls(name, instruction, prompts)


@message(61)
@record
class InfoResponse:
    """RFC 4256 section 3.4."""

    responses: tuple[str, ...] = hidden()

    def write(self, writer: Writer) -> None:
        writer.uint32(len(self.responses))
        for response in self.responses:
            writer.text(response)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        count = reader.uint32()
        if count > MAX_PROMPTS:
            raise DecodeError("too many responses")
        return cls(tuple(reader.text() for _ in range(count)))


@record
class NoneRequest:
    """RFC 4252 section 5.2: which methods are there?"""

    method: ClassVar[str] = "none"


@record
class PublicKeyRequest:
    """RFC 4252 section 7. Without a signature it asks whether the key would do."""

    method: ClassVar[str] = "publickey"
    algorithm: str
    key_blob: bytes
    signature: bytes | None = None

    def write(self, writer: Writer) -> None:
        writer.boolean(self.signature is not None).text(self.algorithm).string(self.key_blob)
        if self.signature is not None:
            writer.string(self.signature)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        is_signed = reader.boolean()
        algorithm, key_blob = reader.text(), reader.string()
        return cls(algorithm, key_blob, reader.string() if is_signed else None)


@record
class HostboundRequest:
    """As PublicKeyRequest, with the host key the client saw: OpenSSH's PROTOCOL section 1.9."""

    method: ClassVar[str] = "publickey-hostbound-v00@openssh.com"
    algorithm: str
    key_blob: bytes
    host_key: bytes
    signature: bytes | None = None

    def write(self, writer: Writer) -> None:
        writer.boolean(self.signature is not None).text(self.algorithm).string(self.key_blob)
        writer.string(self.host_key)
        if self.signature is not None:
            writer.string(self.signature)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        is_signed = reader.boolean()
        algorithm, key_blob, host_key = reader.text(), reader.string(), reader.string()
        return cls(algorithm, key_blob, host_key, reader.string() if is_signed else None)


@record
class PasswordRequest:
    """RFC 4252 section 8. `new_password` answers a PasswordChangeRequest."""

    method: ClassVar[str] = "password"
    password: str = hidden()
    new_password: str | None = hidden(default=None)

    def write(self, writer: Writer) -> None:
        writer.boolean(self.new_password is not None).text(self.password)
        if self.new_password is not None:
            writer.text(self.new_password)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        is_change = reader.boolean()
        password = reader.text()
        return cls(password, reader.text() if is_change else None)


@record
class KeyboardInteractiveRequest:
    """RFC 4256 section 3.1."""

    method: ClassVar[str] = "keyboard-interactive"
    language: str = ""
    submethods: str = ""


@record
class HostbasedRequest:
    """RFC 4252 section 9."""

    method: ClassVar[str] = "hostbased"
    algorithm: str
    key_blob: bytes
    client_host: str
    client_user: str
    signature: bytes


@record
class TicketRequest:
    """Back to a session by the key that its client made for it (PROTOCOL.md section 5): the
    session's number, the key, the host key the client saw, and the key's signature."""

    method: ClassVar[str] = "session-ticket@qsh"
    session: bytes
    key_blob: bytes
    host_key: bytes
    signature: bytes


RequestBody = (
    NoneRequest
    | PublicKeyRequest
    | HostboundRequest
    | PasswordRequest
    | KeyboardInteractiveRequest
    | HostbasedRequest
    | TicketRequest
)
BODIES: dict[str, type[RequestBody]] = {
    NoneRequest.method: NoneRequest,
    PublicKeyRequest.method: PublicKeyRequest,
    HostboundRequest.method: HostboundRequest,
    PasswordRequest.method: PasswordRequest,
    KeyboardInteractiveRequest.method: KeyboardInteractiveRequest,
    HostbasedRequest.method: HostbasedRequest,
    TicketRequest.method: TicketRequest,
}
"""Body class of each method that this version knows."""

_ALWAYS_TO_CLIENT = (ExtInfo, UserauthFailure, UserauthSuccess, UserauthBanner)
TO_CLIENT: dict[str, Registry] = {
    PublicKeyRequest.method: Registry(*_ALWAYS_TO_CLIENT, PublicKeyOk),
    HostboundRequest.method: Registry(*_ALWAYS_TO_CLIENT, PublicKeyOk),
    PasswordRequest.method: Registry(*_ALWAYS_TO_CLIENT, PasswordChangeRequest),
    KeyboardInteractiveRequest.method: Registry(*_ALWAYS_TO_CLIENT, InfoRequest),
}
"""What the server may answer while a method is in progress; TO_CLIENT_OTHERWISE for the rest."""
TO_CLIENT_OTHERWISE = Registry(*_ALWAYS_TO_CLIENT)
TO_SERVER = Registry(ExtInfo, UserauthRequest, InfoResponse)
MAX_USER = 256
"""Characters of a user name: useradd(8) allows 32, directories a few more."""
