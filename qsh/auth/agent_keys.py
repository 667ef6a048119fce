"""Private keys as an agent takes them (draft-ietf-sshm-ssh-agent section 3.2)."""

from typing import Any

from qsh.auth.blobs import mpint, string
from qsh.auth.private_key import PrivateKey
from qsh.errors import IdentityError

CONSTRAIN_LIFETIME, CONSTRAIN_CONFIRM = 1, 2


def key_fields(key: PrivateKey) -> bytes:
    """Type and all fields of the key, without its comment. Raises IdentityError for a key whose
    secret cannot be had."""
    public = key.public.plain
    if key.device_part:
        return public.blob + key.device_part
    inner = key.inner
    name = type(inner).__name__
    if name == "Ed25519PrivateKey":
        return public.blob + string(inner.private_bytes_raw() + public.parts[0])
    if name == "ECPrivateKey":
        return public.blob + mpint(inner.private_numbers().private_value)
    if name == "RSAPrivateKey":
        return string(b"ssh-rsa") + b"".join(map(mpint, _rsa_numbers(inner)))
    raise IdentityError(f"the {public.key_type_name} key cannot be given to an agent")


def _rsa_numbers(inner: Any) -> tuple[int, ...]:
    numbers = inner.private_numbers()
    public = numbers.public_numbers
    return (public.n, public.e, numbers.d, numbers.iqmp, numbers.p, numbers.q)


def constraints(lifetime: int = 0, confirm: bool = False) -> bytes:
    """For `lifetime` seconds (0: for ever); `confirm` has the agent ask its user at each use."""
    found = b""
    if lifetime:
        found += bytes((CONSTRAIN_LIFETIME,)) + lifetime.to_bytes(4, "big")
    return found + (bytes((CONSTRAIN_CONFIRM,)) if confirm else b"")
