"""The bytes that get signed, and what is checked of them.

Two signatures make a qsh connection: the host's over the connection's TLS key (the attestation,
PROTOCOL.md "The host's identity") and the user's over the session identifier (RFC 4252 section 7).
The session identifier holds the hash of that attestation and the TLS exporter, so a login made for
one connection is worth nothing on any other.
"""

import hashlib
from collections.abc import Callable
from typing import Protocol

from qsh.auth.blobs import string
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms, signature_algorithm
from qsh.errors import HostKeyError, IdentityError

# From PROTOCOL.md.
ATTESTATION_LABEL = b"host-attestation@qsh"
EXPORTER_LENGTH = 32
NONCE_LENGTH = 32
MIN_CONNECTION_ID = 16

# From RFC 4252.
_USERAUTH_REQUEST = 50
_SERVICE = b"ssh-connection"
_PUBLICKEY = b"publickey"
_HOSTBOUND = b"publickey-hostbound-v00@openssh.com"
_HOSTBASED = b"hostbased"


class Attestation(Protocol):
    """What the host signed, as read from its certificate (qsh.quic.identity.Attestation)."""

    @property
    def host_key_blob(self) -> bytes: ...
    @property
    def nonce(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...


class HostbasedClaim(Protocol):
    """For whom a host vouches, and by which key (userauth_messages.HostbasedRequest)."""

    @property
    def algorithm(self) -> str: ...
    @property
    def key_blob(self) -> bytes: ...
    @property
    def client_host(self) -> str: ...
    @property
    def client_user(self) -> str: ...


def session_identifier(exporter: bytes, attestation: bytes) -> bytes:
    """64 bytes that name this connection: SHA-256 of the TLS exporter's output
    (`EXPORTER-qsh-session-id`, no context, 32 bytes), then SHA-256 of the raw attestation."""
    if len(exporter) != EXPORTER_LENGTH:
        raise ValueError("the exporter's output has 32 bytes")
    return hashlib.sha256(exporter).digest() + hashlib.sha256(attestation).digest()


def userauth_data(
    session_id: bytes, user: str, algorithm: str, key_blob: bytes, host_key_blob: bytes | None
) -> bytes:
    """What a login by public key signs: RFC 4252 section 7, and with `host_key_blob` OpenSSH's
    `publickey-hostbound-v00@openssh.com`. `algorithm` is as in the request."""
    return b"".join((
        string(session_id),
        bytes((_USERAUTH_REQUEST,)),
        string(user.encode("utf-8", "surrogateescape")),
        string(_SERVICE),
        string(_PUBLICKEY if host_key_blob is None else _HOSTBOUND),
        b"\1",
        string(algorithm.encode()),
        string(key_blob),
        b"" if host_key_blob is None else string(host_key_blob),
    ))


def hostbased_data(session_id: bytes, user: str, request: HostbasedClaim) -> bytes:
    """What the client's host signs for one of its users: RFC 4252 section 9."""
    names = (user, request.client_host, request.client_user)
    account, host, client = (name.encode("utf-8", "surrogateescape") for name in names)
    return b"".join((
        string(session_id),
        bytes((_USERAUTH_REQUEST,)),
        *map(string, (account, _SERVICE, _HOSTBASED, request.algorithm.encode(),
                      request.key_blob, host, client)),
    ))


def sign_userauth(
    sign: Callable[[bytes, str], bytes],
    key: PublicKey,
    session_id: bytes,
    user: str,
    algorithm: str,
    host_key_blob: bytes | None = None,
) -> bytes:
    """The signature of a login request. `sign(data, signature algorithm)` is a private key's or
    an agent's; `algorithm` one of `login_algorithms(key)`. Raises IdentityError."""
    if algorithm not in login_algorithms(key):
        raise IdentityError(f"a {key.key_type_name} key cannot log in as {algorithm}")
    data = userauth_data(session_id, user, algorithm, key.blob, host_key_blob)
    return sign(data, signature_algorithm(algorithm))


def verify_userauth(
    key: PublicKey,
    session_id: bytes,
    user: str,
    algorithm: str,
    signature: bytes,
    *,
    host_key_blob: bytes | None = None,
    touch_required: bool = True,
    verify_required: bool = False,
) -> bool:
    """Whether a login request's signature is `key`'s and made for this session, user and host.

    The signature must bear the algorithm that the request names (RFC 8332 section 3.2).
    """
    if algorithm not in login_algorithms(key):
        return False
    data = userauth_data(session_id, user, algorithm, key.blob, host_key_blob)
    return key.verify(
        data,
        signature,
        (signature_algorithm(algorithm),),
        touch_required=touch_required,
        verify_required=verify_required,
    )


def attestation_data(spki: bytes, odcid: bytes, nonce: bytes, host_key_blob: bytes) -> bytes:
    """What the host's key signs: its words for this one connection.

    `spki` is the SubjectPublicKeyInfo of the TLS key in DER, `odcid` the client's original
    destination connection ID, `nonce` the server's 32 random bytes. More than 64 bytes, so it can
    never be taken for an SSH exchange hash.
    """
    return b"".join(map(string, (ATTESTATION_LABEL, spki, odcid, nonce, host_key_blob)))


def verify_attestation(attestation: Attestation, spki: bytes, odcid: bytes) -> PublicKey:
    """The host's key or certificate, once its signature over this connection's TLS key is good.

    Whether that key is the right one for the host is for known_hosts to say. Raises HostKeyError.
    """
    try:
        key = PublicKey.from_blob(attestation.host_key_blob)
    except IdentityError as e:
        raise HostKeyError(f"the host offers a key that cannot be used: {e}") from None
    if len(attestation.nonce) != NONCE_LENGTH or len(odcid) < MIN_CONNECTION_ID:
        raise HostKeyError("the host's proof of its key is malformed")
    data = attestation_data(spki, odcid, attestation.nonce, attestation.host_key_blob)
    # Nobody sits beside a host to touch its security key.
    if not key.verify(data, attestation.signature, touch_required=False):
        raise HostKeyError(
            "the host did not prove that it holds its key: somebody may be in between"
        )
    return key
