"""Public keys: reading, naming, fingerprints, verification.

Own code on `cryptography` rather than asyncssh's classes: importing those costs 140 ms even
lean, and every login of every client pays it; and here SHA-1, short keys and the touch flags of
security keys are decided in one place.
"""

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Collection

from qsh.auth import blobs
from qsh.auth.blobs import Certificate, KeyBlob
from qsh.errors import IdentityError

MAX_FILE = 1024 * 1024
"""Bytes read of a key file at most."""

_TYPE_NAMES = {
    "ssh-ed25519": "ED25519",
    "ssh-rsa": "RSA",
    "sk-ssh-ed25519@openssh.com": "ED25519-SK",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA-SK",
}
_SIGNATURE_ALGORITHMS = {
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
    "sk-ecdsa-sha2-nistp256@openssh.com": (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    ),
}
"""Where they differ from the key's own name. No ssh-rsa: its signatures are SHA-1."""


class PublicKey:
    """A public key or an OpenSSH certificate, by its wire form `blob`.

    Equal if the blobs are. Build one with `from_blob`, `from_line` or `from_file`.
    """

    __slots__ = ("_parsed", "blob", "comment")

    def __init__(self, parsed: KeyBlob, blob: bytes, comment: str = "") -> None:
        self._parsed = parsed
        self.blob = blob
        self.comment = comment

    @classmethod
    def from_blob(cls, blob: bytes, comment: str = "") -> "PublicKey":
        """From the wire form. Raises IdentityError."""
        return cls(blobs.parse(blob), bytes(blob), comment)

    @classmethod
    def from_line(cls, line: str | bytes) -> "PublicKey":
        """From `algorithm base64 [comment]`, as in a .pub file. Raises IdentityError."""
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        fields = text.strip().split(None, 2)
        if len(fields) < 2:
            raise IdentityError("not a public key")
        key = cls.from_blob(decode_base64(fields[1]), fields[2] if len(fields) > 2 else "")
        if key.algorithm != fields[0]:
            raise IdentityError(f"key of type {key.algorithm} is called {fields[0][:64]!r}")
        return key

    @classmethod
    def from_file(cls, path: str) -> "PublicKey":
        """From the first line of a .pub file that is not a comment. Raises IdentityError."""
        for line in read_key_file(path).splitlines():
            if line.strip() and not line.lstrip().startswith(b"#"):
                try:
                    return cls.from_line(line)
                except IdentityError as e:
                    raise IdentityError(f"{path}: {e}") from None
        raise IdentityError(f"{path}: holds no public key")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.blob == self.blob

    def __hash__(self) -> int:
        return hash(self.blob)

    def __repr__(self) -> str:
        return f"<{self.algorithm} {self.fingerprint()}>"

    @property
    def algorithm(self) -> str:
        """As at the front of the blob: of a certificate, the certificate's."""
        return self._parsed.algorithm

    @property
    def plain_algorithm(self) -> str:
        """Of the key itself, also in a certificate."""
        return self._parsed.plain_algorithm

    @property
    def parts(self) -> tuple[bytes, ...]:
        """The plain key's own strings (qsh.auth.blobs)."""
        return self._parsed.parts

    @property
    def certificate(self) -> Certificate | None:
        return self._parsed.certificate

    @property
    def is_certificate(self) -> bool:
        return self._parsed.certificate is not None

    @property
    def is_security_key(self) -> bool:
        """Whether a FIDO device holds the private half."""
        return self.plain_algorithm.startswith("sk-")

    @property
    def plain(self) -> "PublicKey":
        """The key in a certificate; a plain key itself."""
        if not self.is_certificate:
            return self
        return PublicKey.from_blob(self._parsed.plain_blob, self.comment)

    @property
    def authority(self) -> "PublicKey":
        """The key that signed this certificate. Raises IdentityError."""
        if self.certificate is None:
            raise IdentityError("not a certificate")
        return PublicKey.from_blob(self.certificate.authority)

    @property
    def bits(self) -> int:
        """Size as `ssh-keygen -l` prints it."""
        if self.plain_algorithm == "ssh-rsa":
            return int.from_bytes(self.parts[1], "big").bit_length()
        curve = self.plain_algorithm.removesuffix("@openssh.com").rpartition("nistp")[2]
        return int(curve) if curve.isdigit() else 256

    @property
    def key_type_name(self) -> str:
        """ED25519, ECDSA, RSA, ED25519-SK or ECDSA-SK, with -CERT for a certificate."""
        name = _TYPE_NAMES.get(self.plain_algorithm, "ECDSA")
        return f"{name}-CERT" if self.is_certificate else name

    @property
    def signature_algorithms(self) -> tuple[str, ...]:
        """Names that a signature by this key may bear, the best first."""
        return _SIGNATURE_ALGORITHMS.get(self.plain_algorithm, (self.plain_algorithm,))

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """As `ssh-keygen -l` has it (of a certificate: of the key in it). `sha256` or `md5`."""
        import hashlib

        if hash_name == "md5":
            digest = hashlib.md5(self._parsed.plain_blob, usedforsecurity=False)
            return "MD5:" + digest.digest().hex(":")
        raw = hashlib.sha256(self._parsed.plain_blob).digest()
        return "SHA256:" + b2a_base64(raw, newline=False).decode().rstrip("=")

    def authorized_line(self) -> str:
        """`algorithm base64`, as known_hosts and authorized_keys have it; no comment."""
        return f"{self.algorithm} {b2a_base64(self.blob, newline=False).decode()}"

    def verify(
        self,
        data: bytes,
        signature: bytes,
        allowed_algorithms: Collection[str] | None = None,
        *,
        touch_required: bool = True,
        verify_required: bool = False,
    ) -> bool:
        """Whether `signature` (RFC 4253 section 6.6: string name, string value) is this key's
        over `data`.

        `allowed_algorithms` are signature algorithms (of `signature_algorithms` by default). The
        last two matter for security keys: whether somebody must have touched it, and whether it
        must have checked a PIN or finger.
        """
        from qsh.auth.signatures import verify

        flags_needed = (1 if touch_required else 0) | (4 if verify_required else 0)
        return verify(self, data, signature, allowed_algorithms, flags_needed)


def decode_base64(text: str | bytes) -> bytes:
    """Strict base64. Raises IdentityError."""
    try:
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        raise IdentityError("key is not base64") from None


def read_key_file(path: str, *, private: bool = False) -> bytes:
    """The content of a small file. Raises IdentityError, with the system's words; if it is
    `private` also when it is ours and others may read it."""
    try:
        with open(path, "rb") as file:
            if private:
                _check_mode(path, os.fstat(file.fileno()))
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as e:
        raise IdentityError(f"{path}: {getattr(e, 'strerror', None) or e}") from None
    if len(data) > MAX_FILE:
        raise IdentityError(f"{path}: too long for a key")
    return data


def _check_mode(path: str, status: os.stat_result) -> None:
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        mode = status.st_mode & 0o7777
        raise IdentityError(
            f"{path}: permissions {mode:04o} are too open; chmod 600 it, or the key is not used"
        )
