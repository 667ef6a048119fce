"""What qsh asks of aioquic's TLS: the groups of its key exchange, and the exporter it lacks."""

# ruff: noqa: E402  aioquic is made light before it is imported

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic import tls

from qsh.errors import ConfigError

NAMES = {
    "x25519": tls.Group.X25519,
    "secp256r1": tls.Group.SECP256R1,
    "secp384r1": tls.Group.SECP384R1,
}
"""By their names of RFC 8446 section 4.2.7."""


def choose_groups(context: tls.Context, names: tuple[str, ...], *, is_client: bool) -> None:
    """Take the groups of these names, in any case; without names all that are here. A client offers
    the first alone: X25519, but secp256r1 where OpenSSL is without it, as in FIPS mode.

    aioquic would put a key share of four groups into the ClientHello, X25519 third. Each peer of
    ours has it, so a HelloRetryRequest, which aioquic does not know, is never needed. Raises
    ConfigError if none of the groups is here.
    """
    here = context._supported_groups
    wanted = [NAMES.get(name.lower()) for name in names or NAMES]
    found = [group for group in wanted if group in here]
    if not found:
        raise ConfigError(
            f"the engine aioquic has no key exchange by {', '.join(names)} (KexAlgorithms), only "
            f"by {', '.join(NAMES)}"
        )
    context._supported_groups = found[:1] if is_client else found


def group_name(context: tls.Context) -> str:
    """The group in use, as TLS spells it, but for the case of X25519."""
    if context._x25519_private_key is not None:
        return "X25519"
    return context._ec_private_keys[-1].curve.name if context._ec_private_keys else ""


class Exporter:
    """RFC 8446 section 7.5. Made when the first 1-RTT key is installed: at both ends the transcript
    then ends with the server's Finished, as section 7.1 wants it for `exp master`; a moment later
    the client's Finished follows."""

    def __init__(self, context: tls.Context) -> None:
        assert context.key_schedule is not None
        self._algorithm = context.key_schedule.algorithm
        self._secret = context.key_schedule.derive_secret(b"exp master")

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        """`length` bytes for `label` and `context`, equal at both ends."""
        from hashlib import new as new_hash  # 3 ms, which start-up does without

        empty = new_hash(self._algorithm.name).digest()
        secret = tls.hkdf_expand_label(
            self._algorithm, self._secret, label, empty, self._algorithm.digest_size
        )
        digest = new_hash(self._algorithm.name, context).digest()
        return tls.hkdf_expand_label(self._algorithm, secret, b"exporter", digest, length)
