"""What identity files say before anybody is asked for a passphrase."""

import os
from collections.abc import Iterable

from qsh.auth.methods import FileIdentity
from qsh.auth.private_key import certificate_of, is_encrypted, public_of
from qsh.auth.public_key import PublicKey, read_key_file
from qsh.errors import IdentityError


def look_at(path: str, certificate_paths: Iterable[str] = ()) -> FileIdentity | None:
    """An IdentityFile with its certificates, or None if there is no such file.

    `certificate_paths` are CertificateFile; without any, the file beside the key counts. A path
    that names a public key (for a private half in the agent) is fine.
    """
    if not any(os.path.exists(name) for name in (path, path + ".pub")):
        return None
    public = public_of(path)
    paths = tuple(certificate_paths)
    found = [certificate_of(path)] if not paths else [_certificate(name) for name in paths]
    certificates = tuple(
        c for c in found if c is not None and (public is None or c.plain == public.plain)
    )
    try:
        encrypted = is_encrypted(read_key_file(path))
    except IdentityError:
        encrypted = False
    return FileIdentity(path, public, certificates, encrypted)


def _certificate(path: str) -> PublicKey | None:
    try:
        key = PublicKey.from_file(path)
    except IdentityError:
        return None
    return key if key.is_certificate else None
