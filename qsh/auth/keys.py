"""Keys: the names that the floors above use."""

from qsh.auth.private_key import (
    PassphraseNeeded,
    PrivateKey,
    WrongPassphrase,
    certificate_of,
    load_private,
    parse_private,
    public_of,
)
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import (
    default_signature_algorithm,
    login_algorithms,
    signature_algorithm,
)

__all__ = [
    "PassphraseNeeded",
    "PrivateKey",
    "PublicKey",
    "WrongPassphrase",
    "certificate_of",
    "default_signature_algorithm",
    "load_private",
    "login_algorithms",
    "parse_private",
    "public_of",
    "signature_algorithm",
]
