"""Loads all that monitors, workers and holders will ever import, once, before any fork.

A worker has no file system: what is not loaded when it enters its sandbox can never be. And what
is loaded here is shared by all processes and costs a new connection nothing.
"""

import gc
from importlib import import_module

from qsh.quic import engine as engines
from qsh.server.immortal import make_immortal
from qsh.server.rehearsal import rehearse, use_libraries

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


def preload(engine_name: str | None, *, for_one: bool = False) -> None:
    """Import everything, use once what loads more at its first use, and freeze it, so that neither
    the garbage collection nor, where Python can, the use of it in a child copies shared pages.
    `for_one`: there will be one connection only, for which a rehearsal would be its own delay."""
    for name in MODULES:
        import_module(name)
    engines.load(engine_name)
    use_libraries()
    if not for_one:
        rehearse(engine_name)
    gc.collect()
    make_immortal()
    gc.freeze()
