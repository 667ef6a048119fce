"""Which identity last worked for a host: it goes first, so that the first try is the right one.

A file per host in the state folder, named by a hash, holding the key's fingerprint. Losing it costs
at most a round trip, so nothing here ever fails aloud.
"""

import contextlib
import os
from typing import TYPE_CHECKING

from qsh import paths

if TYPE_CHECKING:
    from qsh.auth.methods import Identity
    from qsh.config.client_settings import ClientSettings


def _path(user: str, host: str, port: int) -> str:
    from hashlib import sha256

    name = sha256(f"{user}@{host}:{port}".encode(errors="surrogateescape")).hexdigest()[:32]
    return f"{paths.user_state()}/identities/{name}"


def last_identity(user: str, host: str, port: int) -> str:
    """The fingerprint of the key that last let this user in there; empty if unknown."""
    try:
        with open(_path(user, host, port), encoding="ascii") as file:
            return file.read(200).strip()
    except (OSError, ValueError):
        return ""


def remember_identity(user: str, host: str, port: int, fingerprint: str) -> None:
    """The key with this fingerprint has just worked."""
    path = _path(user, host, port)
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        draft = f"{path}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{fingerprint}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(draft, path)


def remember_qshd(settings: "ClientSettings") -> None:
    """There is qshd, so that its silence will be news (FallbackToSsh)."""
    from qsh.client.dial.connect import is_proxied

    if settings.fallback_to_ssh != "no" and not is_proxied(settings):
        from qsh.client.dial.fallback import remember_server

        remember_server(settings)


def remember_login(settings: "ClientSettings", used: "Identity | None",
                   identities: "tuple[Identity, ...]", last: str) -> None:
    """Keep what has let the user in, if another order would have been chosen without it; `last`
    is what was remembered before."""
    if used is None or not used.fingerprint or used.fingerprint == last:
        return
    if last or used != identities[0]:
        remember_identity(settings.user, settings.host_key_name, settings.port, used.fingerprint)
