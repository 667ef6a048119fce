"""`-Q`: what qsh can do, one name per line, under ssh(1)'s names for the kinds.

Keys, signatures and key exchanges have SSH's names. Ciphers are those of QUIC's TLS 1.3, which has
no list of MACs: every packet is authenticated by its cipher.
"""

from qsh.auth.blobs import ALGORITHMS, CERTIFICATE_SUFFIX, PLAIN_OF
from qsh.config.key_exchange import GROUPS
from qsh.errors import UsageError

_RSA = ("rsa-sha2-256", "rsa-sha2-512")
_WEBAUTHN = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"

PLAIN = tuple(sorted(ALGORITHMS - PLAIN_OF.keys()))
CERTIFICATES = tuple(sorted(PLAIN_OF))
SIGNATURES = (*(name for name in PLAIN if name != "ssh-rsa"), _WEBAUTHN, *_RSA)
"""Without SHA-1, which is never made nor accepted."""

FEATURES: dict[str, tuple[str, ...]] = {
    "cipher": ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
    "compression": ("none",),
    "kex": tuple(GROUPS),
    "key": tuple(sorted(ALGORITHMS)),
    "key-ca-sign": SIGNATURES,
    "key-cert": CERTIFICATES,
    "key-plain": PLAIN,
    "key-sig": (
        *(name for name in sorted(ALGORITHMS) if not name.startswith("ssh-rsa")),
        _WEBAUTHN,
        *(name + suffix for name in _RSA for suffix in ("", CERTIFICATE_SUFFIX)),
    ),
    "mac": (),
    "protocol-version": ("2",),
    "sig": SIGNATURES,
}
FEATURES["cipher-auth"] = FEATURES["cipher"]

KEYWORDS = {
    "casignaturealgorithms": "key-ca-sign",
    "ciphers": "cipher",
    "hostbasedacceptedalgorithms": "key-sig",
    "hostbasedkeytypes": "key-sig",
    "hostkeyalgorithms": "key-sig",
    "kexalgorithms": "kex",
    "macs": "mac",
    "pubkeyacceptedalgorithms": "key-sig",
    "pubkeyacceptedkeytypes": "key-sig",
}
"""A keyword stands for the kind of its values, in any case of letters."""


def names_of(feature: str) -> tuple[str, ...]:
    """The names of one kind; `help` gives the kinds. Raises UsageError."""
    if feature == "help":
        return tuple(sorted(FEATURES))
    names = FEATURES.get(KEYWORDS.get(feature.lower(), feature.lower()))
    if names is None:
        raise UsageError(f"-Q {feature}: no such kind of algorithm (qsh -Q help lists them)")
    return names
