"""What a host proves about itself: the attestation, and further keys of its own.

The attestation in the TLS certificate proves that the peer holds one host key (PROTOCOL.md, "The
host's identity"); `hostkeys-prove-00@openssh.com` proves others on request.
"""

from collections.abc import Sequence

from qsh import log
from qsh.auth.blobs import string
from qsh.auth.public_key import PublicKey
from qsh.auth.signing import EXPORTER_LENGTH, session_identifier, verify_attestation
from qsh.errors import DecodeError, HostKeyError, IdentityError, RequestError
from qsh.net.connection import Connection
from qsh.quic.identity import read_attestation
from qsh.record import record
from qsh.wire.codec import decode_body
from qsh.wire.global_messages import HostKeysAnnounce, HostKeysList, HostKeysProof, HostKeysProve

MOST_KEYS = 32
"""Host keys that are looked at."""
EXPORTER_LABEL = b"EXPORTER-qsh-session-id"

_log = log.logger("hostkey")


@record
class HostProof:
    """What the host has proved: that it holds `key`, on the connection named `session_id`."""

    key: PublicKey
    session_id: bytes


def read_proof(connection: Connection) -> HostProof:
    """Check the attestation of an established connection. Raises HostKeyError."""
    certificate = connection.peer_certificate
    assert certificate is not None
    try:
        attestation, spki = read_attestation(certificate)
    except DecodeError:
        raise HostKeyError(f"{connection.name} shows no host key: it is no qsh server") from None
    key = verify_attestation(attestation, spki, connection.original_destination_connection_id)
    exporter = connection.export_keying_material(EXPORTER_LABEL, b"", EXPORTER_LENGTH)
    _log.debug1("host key: %s %s", key.key_type_name, key.fingerprint())
    return HostProof(key, session_identifier(exporter, attestation.raw))


async def other_keys(connection: Connection) -> list[PublicKey]:
    """The keys that the host says it has, in its order; without those that are of no known kind.
    Nothing is proved yet."""
    try:
        blobs = decode_body(HostKeysAnnounce, await connection.request(HostKeysList())).keys
    except (RequestError, DecodeError) as error:
        _log.debug1("the host lists no keys: %s", error)
        return []
    found = []
    for blob in blobs[:MOST_KEYS]:
        try:
            found.append(PublicKey.from_blob(blob))
        except IdentityError as error:
            _log.debug1("a host key is passed over: %s", error)
    return found


async def proves(connection: Connection, session_id: bytes, keys: Sequence[PublicKey]) -> bool:
    """Whether the host holds all of these keys, here and now. The connection must be trusted so
    far that its answer is heard."""
    if not keys:
        return True
    try:
        answer = await connection.request(HostKeysProve(tuple(key.blob for key in keys)))
        signatures = decode_body(HostKeysProof, answer).signatures
    except (RequestError, DecodeError) as error:
        _log.debug1("no proof of the %s key: %s", keys[0].key_type_name, error)
        return False
    return len(signatures) == len(keys) and all(
        key.verify(hostkeys_prove_data(session_id, key), signature)
        for key, signature in zip(keys, signatures, strict=True)
    )


def hostkeys_prove_data(session_id: bytes, key: PublicKey) -> bytes:
    """What a host signs to prove another key of its own: OpenSSH's PROTOCOL section 2.5."""
    return b"".join((string(HostKeysProve.name.encode()), string(session_id), string(key.blob)))
