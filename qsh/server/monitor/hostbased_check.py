"""The monitor's judgement of hostbased logins: does the client's host vouch, and is it believed?

Three things must hold: shosts.equiv and its kin name the host and the user there (rhosts.py), the
host's key is the known one, and it has signed this connection's session identifier. The rules are
those of OpenSSH's auth2-hostbased.c. What the client says of itself counts for nothing else, and is
not even logged if it is no plain name.
"""

import os

from qsh import paths
from qsh.auth import known_hosts
from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.auth.known_hosts import Kind
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms, signature_algorithm
from qsh.auth.signing import hostbased_data, session_identifier
from qsh.log import logger
from qsh.server.accounts.accounts import Account
from qsh.server.monitor import rhosts
from qsh.server.monitor.key_check import KeyCheck
from qsh.server.monitor.rhosts import Stranger
from qsh.server.monitor.user_files import read_as_user
from qsh.wire.userauth_messages import HostbasedRequest

_log = logger("login")

SYSTEM_FILES = tuple(f"{paths.SYSTEM_SSH}/ssh_known_hosts{end}" for end in ("", "2"))
OWN_FILES = tuple(f".ssh/known_hosts{end}" for end in ("", "2"))
MAX_NAME = 255
"""Characters of a host's or user's name."""


def is_plain(request: HostbasedRequest) -> bool:
    """Whether the names that the client gives are such as may stand in a log."""
    return all(
        0 < len(name) <= MAX_NAME and all("!" <= one <= "~" and one != '"' for one in name)
        for name in (request.client_host, request.client_user)
    )


def claim_label(request: HostbasedRequest) -> str:
    """What the log says of the client's names, in sshd's words."""
    if not is_plain(request):
        return ""
    host = request.client_host.removesuffix(".")
    return f', client user "{request.client_user}", client host "{host}"'


def host_vouches(check: KeyCheck, key: PublicKey, request: HostbasedRequest, user: str,
                 exporter: bytes, account: Account | None) -> bool:
    """Whether the request lets its client into the account. `user` is as the client wrote it."""
    if account is None or not is_plain(request) or not _may_sign(check, key, request.algorithm):
        return False
    settings, address = check.settings, check.peers.remote[0]
    named = request.client_host.removesuffix(".").lower()
    host = named if settings.hostbased_uses_name_from_packet_only else check.hostname or address
    if host != named:
        _log.info("userauth_hostbased mismatch: client sends %s, but we resolve %s to %s",
                  named, address, host)
    seen = named if settings.hostbased_uses_name_from_packet_only else address
    stranger = Stranger(host, seen, request.client_user)
    return (
        rhosts.may_enter(stranger, account, settings, _report)
        and _is_known(check, key, host, account)
        and _is_signed(check, key, request, user, exporter)
    )


def _may_sign(check: KeyCheck, key: PublicKey, algorithm: str) -> bool:
    settings = check.settings
    if algorithm not in login_algorithms(key):
        _log.info("key of type %s is offered as %s", key.algorithm, algorithm)
        return False
    if algorithm not in settings.hostbased_accepted_algorithms.resolve((algorithm,)):
        _log.info("signature algorithm %s not in HostbasedAcceptedAlgorithms", algorithm)
        return False
    if key.plain_algorithm == "ssh-rsa" and key.bits < settings.required_rsa_size:
        _log.info("refusing RSA key of %d bits", key.bits)
        return False
    return not check.lookup().is_revoked(key)


def _is_known(check: KeyCheck, key: PublicKey, host: str, account: Account) -> bool:
    """By the system's files, or the user's unless IgnoreUserKnownHosts."""
    settings, own = check.settings, []
    for name in () if settings.ignore_user_known_hosts else OWN_FILES:
        path = os.path.join(account.home, name)
        text = read_as_user(path, account, _report, is_strict=settings.strict_modes)
        own.append((path, text or b""))
    authorities = settings.ca_signature_algorithms.resolve(tuple(sorted(CA_SIGNATURE_ALGORITHMS)))
    verdict = known_hosts.load(SYSTEM_FILES, own).check(
        host, known_hosts.DEFAULT_PORT, None, key, check.clock(),
        ca_algorithms=frozenset(authorities),
    )  # fmt: skip
    is_known = verdict.kind is Kind.KNOWN and (verdict.by_authority or not key.is_certificate)
    if not is_known:
        _log.info("the key that is to vouch is not known to be that of %s", host)
    return is_known


def _is_signed(check: KeyCheck, key: PublicKey, request: HostbasedRequest, user: str,
               exporter: bytes) -> bool:
    data = hostbased_data(session_identifier(exporter, check.attestation), user, request)
    return key.verify(data, request.signature, (signature_algorithm(request.algorithm),))


def _report(line: str) -> None:
    _log.info("%s", line)
