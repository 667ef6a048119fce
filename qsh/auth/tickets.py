"""The signature that brings a client back to its session: PROTOCOL.md section 5.

A key that the client made for one session, and keeps in memory, signs the session identifier of
the new connection. So what is sent is worth nothing on any other connection, and whoever sees it,
the server's own processes included, holds no secret.
"""

from collections.abc import Callable

from qsh.auth.blobs import string
from qsh.auth.public_key import PublicKey
from qsh.errors import IdentityError
from qsh.wire.userauth_messages import SERVICE, TicketRequest

ALGORITHM = "ssh-ed25519"
KEY_LENGTH = 51
"""Bytes of an Ed25519 key's blob (RFC 8709)."""
_USERAUTH_REQUEST = 50


def ticket_data(
    session_id: bytes, user: str, session: bytes, key_blob: bytes, host_key: bytes
) -> bytes:
    """What is signed: `session_id` is the new connection's, `session` the session's number."""
    return b"".join((
        string(session_id),
        bytes((_USERAUTH_REQUEST,)),
        string(user.encode("utf-8", "surrogateescape")),
        string(SERVICE.encode()),
        string(TicketRequest.method.encode()),
        string(session),
        string(key_blob),
        string(host_key),
    ))


def new_ticket_key() -> tuple[bytes, Callable[[bytes], bytes]]:
    """A key for one session: its public blob, and how it signs (RFC 8709's format)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    name = string(ALGORITHM.encode())

    def sign(data: bytes) -> bytes:
        return name + string(private.sign(data))

    return name + string(private.public_key().public_bytes_raw()), sign


def is_ticket_key(blob: bytes) -> bool:
    """Whether it is the blob of a key of the one kind that tickets have."""
    return len(blob) == KEY_LENGTH and blob.startswith(string(ALGORITHM.encode()))


def verify_ticket(request: TicketRequest, session_id: bytes, user: str) -> bool:
    """Whether the request's signature is its key's, for this connection, user and session."""
    if not is_ticket_key(request.key_blob):
        return False
    data = ticket_data(session_id, user, request.session, request.key_blob, request.host_key)
    try:
        key = PublicKey.from_blob(request.key_blob)
    except IdentityError:
        return False
    return key.verify(data, request.signature, (ALGORITHM,))
