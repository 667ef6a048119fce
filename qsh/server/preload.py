"""Loads all that monitors, workers and holders will ever import, once, before any fork.

A worker has no file system: what is not loaded when it enters its sandbox can never be. And what
is loaded here is shared by all processes and costs a new connection nothing.
"""

import asyncio
import gc
from importlib import import_module

from qsh.auth import authorized_keys
from qsh.auth.generate import new_ed25519
from qsh.auth.private_key import parse_private
from qsh.auth.public_key import PublicKey
from qsh.quic import engine as engines
from qsh.quic.identity import load_identity, make_certificate, new_identity_key

MODULES = (
    # Imported late by Python itself or by libraries.
    "asyncio.base_events", "asyncio.selector_events", "asyncio.unix_events", "encodings.idna",
    "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "ipaddress", "stringprep",
    "unicodedata", "subprocess", "traceback", "linecache", "socket", "getopt", "bdb", "syslog",
    # For a user's process, which may not be allowed to read our files.
    "qsh.sftp.server", "qsh.terminal.kept_screen", "qsh.terminal.sequence_effects",
    "qsh.terminal.widths",
    # Imported late by qsh, for the sake of the client's start.
    "qsh.auth.signatures", "qsh.auth.revoked", "qsh.auth.private_key", "qsh.auth.certificates",
    "qsh.quic.certificate", "hashlib", "hmac", "base64", "binascii",
    "cryptography.x509", "cryptography.hazmat.primitives.serialization.ssh",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.asymmetric.padding",
    "cryptography.hazmat.primitives.asymmetric.utils",
    "cryptography.hazmat.primitives.asymmetric.x25519",
)  # fmt: skip


def preload(engine_name: str | None) -> None:
    """Import everything, use once what loads more at its first use, and freeze it, so that no
    garbage collection in a child copies the shared pages."""
    for name in MODULES:
        import_module(name)
    engines.load(engine_name)
    _rehearse()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    gc.collect()
    gc.freeze()


def _rehearse() -> None:
    """Sign and verify with keys that are thrown away: libraries import more when first used."""
    load_identity(make_certificate(new_identity_key(), b""))
    private, line = new_ed25519()
    key = PublicKey.from_line(line)
    signature = parse_private(private).sign(b"")
    assert key.verify(b"", signature)
    found = authorized_keys.match(
        f'from="::1" {line}'.encode(), "", key, user="", address="::1", now=0.0
    )
    assert found is not None
