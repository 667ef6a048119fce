"""VerifyHostKeyDNS: what the DNS says about a host's key."""

from ipaddress import ip_address

from qsh import log
from qsh.auth.public_key import PublicKey
from qsh.auth.sshfp import matches
from qsh.net.dns_wire import SSHFP
from qsh.net.resolver import ResolverSettings, look_up, system_settings
from qsh.record import record

_log = log.logger("dns")


@record
class Fingerprints:
    """`are_there`: the DNS has fingerprints of the host's keys; `match`: this key's is one of them;
    `is_authentic`: a server that may be believed has validated them (DNSSEC)."""

    are_there: bool = False
    match: bool = False
    is_authentic: bool = False


async def fingerprints(
    host: str, key: PublicKey, settings: ResolverSettings | None = None
) -> Fingerprints:
    """Ask for them. An address has none; what cannot be asked is as if there were none."""
    if _is_address(host):
        return Fingerprints()
    try:
        answer = await look_up(host, SSHFP, settings or system_settings())
    except (ValueError, UnicodeError):
        return Fingerprints()
    if answer is None or answer.code or not answer.records:
        _log.debug1("the DNS has no fingerprint of the keys of %s", host)
        return Fingerprints()
    found = Fingerprints(True, matches(answer.records, key), answer.is_authentic)
    _log.debug1("%d fingerprints in the DNS: %s, %s", len(answer.records),
                "one matches" if found.match else "none matches",
                "authentic" if found.is_authentic else "not authentic")
    return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
