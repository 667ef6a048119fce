"""The monitor's judgement of public keys: may this key log in to this account, has it signed?

Says yes only to a signature over this connection's session identifier, which holds the hash of the
attestation that the monitor itself made: a worker that lies about the exporter gains nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qsh.auth.authorized_keys import Permissions
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms
from qsh.auth.signing import session_identifier, verify_userauth
from qsh.config.server_settings import ServerSettings
from qsh.log import logger
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers
from qsh.server.monitor.key_lookup import KeyLookup
from qsh.wire.userauth_messages import HostboundRequest, PublicKeyRequest

_log = logger("login")

KeyRequest = PublicKeyRequest | HostboundRequest
KEY_REQUESTS: dict[str, type[KeyRequest]] = {
    PublicKeyRequest.method: PublicKeyRequest,
    HostboundRequest.method: HostboundRequest,
}


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """The keys of one login. `attestation` is the monitor's own; `host_key` the blob it shows;
    `clock` gives wall-clock time, for expiry."""

    settings: ServerSettings
    peers: Peers
    attestation: bytes
    host_key: bytes
    clock: Callable[[], float]
    hostname: str = ""
    """The client's verified name, if it has one."""

    def permissions(
        self, key: PublicKey, body: KeyRequest, account: Account | None
    ) -> Permissions | None:
        """What the key may do there, once it has signed; None if it may not log in."""
        settings = self.settings
        if body.algorithm not in login_algorithms(key):
            _log.info("key of type %s is offered as %s", key.algorithm, body.algorithm)
            return None
        if body.algorithm not in settings.pubkey_accepted_algorithms.resolve((body.algorithm,)):
            _log.info("signature algorithm %s not in PubkeyAcceptedAlgorithms", body.algorithm)
            return None
        if key.plain_algorithm == "ssh-rsa" and key.bits < settings.required_rsa_size:
            _log.info("refusing RSA key of %d bits", key.bits)
            return None
        if isinstance(body, HostboundRequest) and body.host_key != self.host_key:
            _log.info("the client signs for another host key")
            return None
        return self.lookup().permissions(key, account, self.clock())

    def lookup(self) -> KeyLookup:
        """What the files say of keys."""
        return KeyLookup(
            self.settings, self.peers, lambda line: _log.info("%s", line), self.hostname
        )

    def is_signed(self, key: PublicKey, body: KeyRequest, user: str, exporter: bytes,
                  granted: Permissions) -> bool:
        """Whether the request's signature is the key's, for this connection."""
        assert body.signature is not None
        touch, verify = self.demands(granted)
        return verify_userauth(
            key, session_identifier(exporter, self.attestation), user, body.algorithm,
            body.signature,
            host_key_blob=body.host_key if isinstance(body, HostboundRequest) else None,
            touch_required=touch, verify_required=verify,
        )  # fmt: skip

    def demands(self, granted: Permissions) -> tuple[bool, bool]:
        """Whether a security key's signature must tell of a touch, and of a PIN or finger."""
        options = self.settings.pubkey_auth_options
        return (
            "touch-required" in options or not granted.no_touch_required,
            "verify-required" in options or granted.verify_required,
        )
