"""Which key algorithms the settings allow: HostKeyAlgorithms, PubkeyAcceptedAlgorithms.

Both go by the names of signatures, so that RSA keys are `rsa-sha2-512` and `rsa-sha2-256`.
"""

from typing import TYPE_CHECKING

from qsh.auth.blobs import ALGORITHMS, CERTIFICATE_SUFFIX
from qsh.config.values import AlgorithmList

if TYPE_CHECKING:
    from qsh.auth.public_key import PublicKey

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


def allowed_names(wanted: AlgorithmList) -> tuple[str, ...]:
    """The names that a setting leaves, in its order."""
    rsa = {name + suffix for name in _RSA for suffix in ("", CERTIFICATE_SUFFIX)}
    known = {name for name in ALGORITHMS if not name.startswith("ssh-rsa")} | rsa
    return wanted.resolve(tuple(sorted(known)))


def allows(wanted: AlgorithmList, key: "PublicKey") -> bool:
    """Whether a setting allows the key at all."""
    if wanted == AlgorithmList():
        return True
    from qsh.auth.signatures import login_algorithms

    return not set(login_algorithms(key)).isdisjoint(allowed_names(wanted))
