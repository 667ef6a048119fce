"""A small client of ssh-agent (draft-ietf-sshm-ssh-agent; OpenSSH's PROTOCOL.agent).

Blocking, since a signature may wait for a touch, a PIN or a confirmation: callers use a thread.
"""

import os
import socket
from typing import TYPE_CHECKING, Self

from qsh.auth.blobs import string
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import default_signature_algorithm
from qsh.errors import DecodeError, IdentityError
from qsh.wire.codec import Reader

if TYPE_CHECKING:
    from qsh.auth.private_key import PrivateKey

# From the specification.
_FAILURE = 5
_SUCCESS = 6
_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14
_ADD_IDENTITY = 17
_ADD_SMARTCARD_KEY = 20
_ADD_IDENTITY_CONSTRAINED = 25
_CONSTRAIN_EXTENSION = 255
_EXTENSION = 27
_SIGN_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}

# Ours, as OpenSSH's.
MAX_REPLY = 256 * 1024
MAX_IDENTITIES = 2048


def session_bind(
    host_key: bytes, session_id: bytes, signature: bytes, *, is_forwarding: bool
) -> bytes:
    """The message `session-bind@openssh.com` (OpenSSH's PROTOCOL.agent section 1), without its
    length. `signature` is the host key's, over the session identifier."""
    fields = (b"session-bind@openssh.com", host_key, session_id, signature)
    return bytes((_EXTENSION,)) + b"".join(map(string, fields)) + bytes((is_forwarding,))


class Agent:
    """One conversation with an agent on a Unix socket. Raises IdentityError throughout.

    `timeout` (seconds) bounds connecting and listing; signing waits for as long as the user does.
    """

    def __init__(self, path: str, *, timeout: float = 30.0) -> None:
        self._path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except (OSError, ValueError) as e:
            self._socket.close()
            reason = getattr(e, "strerror", None) or e
            raise IdentityError(f"cannot reach the agent at {path}: {reason}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def identities(self) -> list[tuple[PublicKey, str]]:
        """The keys that the agent offers, with their comments, in its order. Keys of types that
        qsh does not know are left out."""
        reader = self._ask(bytes((_REQUEST_IDENTITIES,)), _IDENTITIES_ANSWER, "list its keys")
        found = []
        try:
            count = reader.uint32()
            if count > MAX_IDENTITIES:
                raise DecodeError("too many keys")
            for _ in range(count):
                blob, comment = reader.string(), reader.string().decode("utf-8", "replace")
                try:
                    found.append((PublicKey.from_blob(blob, comment), comment))
                except IdentityError:
                    continue
        except DecodeError:
            raise IdentityError(f"the agent at {self._path} does not speak its protocol") from None
        return found

    def sign(self, public: PublicKey, data: bytes, algorithm: str | None = None) -> bytes:
        """A signature blob over `data`. `algorithm` is one of the key's `signature_algorithms`."""
        chosen = algorithm or default_signature_algorithm(public)
        request = (
            bytes((_SIGN_REQUEST,))
            + string(public.blob)
            + string(data)
            + _SIGN_FLAGS.get(chosen, 0).to_bytes(4, "big")
        )
        self._socket.settimeout(None)
        try:
            reader = self._ask(request, _SIGN_RESPONSE, f"sign with {public.fingerprint()}")
            signature = reader.string()
            made_by = Reader(signature).string().decode("ascii", "replace")
        except DecodeError:
            raise IdentityError(f"the agent at {self._path} does not speak its protocol") from None
        finally:
            self._socket.settimeout(self._timeout)
        if made_by != chosen:
            raise IdentityError(f"the agent signed as {made_by[:64]}, not as {chosen}")
        return signature

    def bind(self, message: bytes) -> None:
        """Bind the conversation to a session (`session_bind`): keys for certain destinations sign
        for that host only, and only then."""
        self._ask(message, _SUCCESS, "be bound to the host")

    def add_security_key(self, key: "PrivateKey", provider: str) -> None:
        """Let the agent sign with a FIDO key through the library `provider` (PROTOCOL.u2f)."""
        public = key.public.plain
        constraint = (
            bytes((_CONSTRAIN_EXTENSION,))
            + string(b"sk-provider@openssh.com")
            + string(os.fsencode(provider))
        )
        self._ask(
            bytes((_ADD_IDENTITY_CONSTRAINED,))
            + public.blob
            + key.device_part
            + string(b"")  # comment
            + constraint,
            _SUCCESS,
            f"take the key {public.fingerprint()}",
        )

    def add_key(self, fields: bytes, comment: str, constraints: bytes = b"") -> None:
        """Hand a private key over; `fields` and `constraints` as agent_keys makes them."""
        number = _ADD_IDENTITY_CONSTRAINED if constraints else _ADD_IDENTITY
        request = bytes((number,)) + fields + string(comment.encode("utf-8", "surrogateescape"))
        self._ask(request + constraints, _SUCCESS, "take the key")

    def add_provider(self, provider: str, pin: str) -> None:
        """Let the agent use all keys of a PKCS #11 library. Waits for as long as a token does."""
        request = bytes((_ADD_SMARTCARD_KEY,)) + string(os.fsencode(provider))
        self._socket.settimeout(None)
        try:
            self._ask(request + string(pin.encode()), _SUCCESS, "load the library")
        finally:
            self._socket.settimeout(self._timeout)

    def _ask(self, request: bytes, expected: int, purpose: str) -> Reader:
        try:
            self._socket.sendall(string(request))
            length = int.from_bytes(self._receive(4), "big")
            if not 0 < length <= MAX_REPLY:
                raise IdentityError(f"the agent at {self._path} does not speak its protocol")
            reply = self._receive(length)
        except OSError as e:
            reason = "no answer" if isinstance(e, TimeoutError) else e.strerror or e
            raise IdentityError(f"the agent at {self._path}: {reason}") from None
        if reply[0] != expected:
            raise IdentityError(f"the agent refused to {purpose}")
        return Reader(reply[1:])

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError(0, "closed the connection")
            data += piece
        return bytes(data)
