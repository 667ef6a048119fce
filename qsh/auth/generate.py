"""New keys, for where no ssh-keygen is: the throw-away ones of `qsh --demo`."""

from qsh.auth.public_key import PublicKey


def new_ed25519() -> tuple[bytes, str]:
    """A new key without passphrase: the private file's bytes in OpenSSH's format, and the public
    line `ssh-ed25519 base64`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private, PublicKey.from_line(line).authorized_line()
