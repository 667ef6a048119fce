"""HostbasedAuthentication: this host vouches for its user, by OpenSSH's ssh-keysign.

The host's private keys are root's alone. ssh-keysign, which is setuid root and does so only with
`EnableSSHKeysign yes` in /etc/ssh/ssh_config, signs for the user that runs it, under the name of
this host; that name it finds by itself, from the socket that it is given. Its message formats are
those of OpenSSH's ssh-keysign.c.
"""

import os
import socket
import subprocess

from qsh import log, paths
from qsh.auth.blobs import string
from qsh.auth.keys import PublicKey
from qsh.auth.signatures import login_algorithms
from qsh.auth.signing import hostbased_data
from qsh.client.login.algorithms import allowed_names
from qsh.config.client_settings import ClientSettings
from qsh.config.facts import local_facts
from qsh.errors import DecodeError, IdentityError
from qsh.net.tasks import in_thread
from qsh.record import replace
from qsh.wire.codec import Reader
from qsh.wire.userauth_messages import HostbasedRequest

PROGRAMS = tuple(f"{folder}/ssh-keysign" for folder in (
    "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"
))  # fmt: skip
KINDS = ("ecdsa", "ed25519", "rsa")
VERSION = 2
PATIENCE = 30.0
"""Seconds for ssh-keysign, which may ask a name server."""

_log = log.logger("login")


def host_keys(settings: ClientSettings) -> tuple[PublicKey, ...]:
    """This host's keys that it may vouch with, certificates before plain keys."""
    found = []
    for end in ("-cert.pub", ".pub"):
        for kind in KINDS:
            path = f"{paths.SYSTEM_SSH}/ssh_host_{kind}_key{end}"
            if os.path.exists(path):
                try:
                    found.append(PublicKey.from_file(path))
                except IdentityError as error:
                    _log.debug1("%s", error)
    wanted = allowed_names(settings.hostbased_accepted_algorithms)
    return tuple(key for key in found if not set(login_algorithms(key)).isdisjoint(wanted))


async def vouch(key: PublicKey, algorithm: str, session_id: bytes, user: str,
                remote: tuple[str, int] | None) -> HostbasedRequest:
    """The request by which this host vouches for who runs this, signed. `remote` is the server's
    address; None if somebody else leads there. Raises IdentityError."""
    return await in_thread(_vouch, key, algorithm, session_id, user, remote)


def _vouch(key: PublicKey, algorithm: str, session_id: bytes, user: str,
           remote: tuple[str, int] | None) -> HostbasedRequest:
    descriptor = _witness(remote)
    try:
        request = HostbasedRequest(
            algorithm, key.blob, f"{_name_of(descriptor)}.", local_facts().user, b""
        )
        data = hostbased_data(session_id, user, request)
        return replace(request, signature=_sign(descriptor, data))
    finally:
        os.close(descriptor)


def _witness(remote: tuple[str, int] | None) -> int:
    """A descriptor whose local address tells which of its names this host uses towards the
    server: a socket of our own, that nothing is sent on. A pipe stands for the host's own name."""
    if remote is not None:
        family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect(remote)
                return sock.detach()
        except OSError as error:
            raise IdentityError(f"no way to {remote[0]}: {error.strerror}") from None
    reading, writing = os.pipe()
    os.close(writing)
    return reading


def _name_of(descriptor: int) -> str:
    """As OpenSSH's get_local_name."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return socket.getnameinfo(sock.getsockname(), socket.NI_NAMEREQD)[0]
    except OSError:
        return socket.gethostname()


def _sign(descriptor: int, data: bytes) -> bytes:
    program = next((path for path in PROGRAMS if os.access(path, os.X_OK)), None)
    if program is None:
        raise IdentityError("hostbased: there is no ssh-keysign here, which could sign")
    message = bytes((VERSION,)) + descriptor.to_bytes(4, "big") + string(data)
    try:
        done = subprocess.run(
            [program], input=string(message), capture_output=True, pass_fds=[descriptor],
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise IdentityError(f"hostbased: {program}: {error}") from None
    try:
        reader = Reader(Reader(done.stdout).string())
        if reader.byte() == VERSION:
            return reader.string()
    except DecodeError:
        pass
    said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
    raise IdentityError(f"hostbased: {program}: {log.printable(said)}")
