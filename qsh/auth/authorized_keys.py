"""authorized_keys and principals files: may this key log in, and what may it do then?

sshd(8) AUTHORIZED_KEYS FILE FORMAT with OpenSSH's semantics (auth2-pubkeyfile.c): the first line
that matches and is not void decides; any doubt makes a line void. Pure: text in, Permissions out.
"""

from collections.abc import Callable, Iterator

from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.auth.certificates import (
    CertificateTerms,
    check_user_certificate,
)
from qsh.auth.key_options import KeyOptions, OptionError, options_end, parse_options
from qsh.auth.patterns import PatternError, match_host_and_address
from qsh.auth.public_key import PublicKey, decode_base64
from qsh.errors import IdentityError
from qsh.record import record

MAX_LINE = 64 * 1024
"""Longer lines are passed over: an RSA key of 16384 bits needs 2.8 KB."""

Report = Callable[[str], None]
"""Takes one line for the server's log: why a line that holds the key does not let it in."""


@record
class Permissions:
    """What the login that a line granted may do. Frozen: nothing widens it later. The defaults
    are those of a login that no key options bind, by password for instance.

    `environment` is what `environment=` asks for (PermitUserEnvironment decides). `permitopen`,
    `permitlisten`, `tunnel`: see KeyOptions. `path` and `line` say which line it was (0: none);
    `fingerprint` is the matched key's, of a certificate its authority's; `certificate_id` is
    "" for a plain key. Each of `sources` (`from=`) and `source_addresses` (of certificates) must
    fit the client's address.
    """

    command: bytes | None = None
    environment: tuple[tuple[str, str], ...] = ()
    pty: bool = True
    agent_forwarding: bool = True
    port_forwarding: bool = True
    x11_forwarding: bool = True
    user_rc: bool = True
    permitopen: tuple[tuple[str, int], ...] | None = None
    permitlisten: tuple[tuple[str, int], ...] | None = None
    tunnel: int | None = None
    no_touch_required: bool = False
    verify_required: bool = False
    expires: float | None = None
    sources: tuple[str, ...] = ()
    source_addresses: tuple[str, ...] = ()
    path: str = ""
    line: int = 0
    fingerprint: str = ""
    certificate_id: str = ""
    certificate_serial: int = 0
    principals: tuple[str, ...] = ()


@record
class Asked:
    """Who asks to come in: the account's name, the client's address and name, and the time."""

    user: str
    address: str
    hostname: str
    now: float


def match(
    text: bytes,
    path: str,
    key: PublicKey,
    *,
    user: str,
    address: str,
    hostname: str = "",
    now: float,
    ca_algorithms: frozenset[str] = CA_SIGNATURE_ALGORITHMS,
    report: Report | None = None,
) -> Permissions | None:
    """What the first line of an authorized_keys file that grants `key` permits, or None.

    `hostname` is the client's verified name, or empty (its address stands in, as with UseDNS no).
    That the key's signature is good is not checked here.
    """
    asked = Asked(user, address, hostname or address, now)
    wanted = key.authority if key.is_certificate else key
    for number, line in _lines(text):
        try:
            options = _options_of_key(line, wanted)
            if options is None or options.cert_authority != key.is_certificate:
                continue
            terms = _authorize(options, key, asked, ca_algorithms)
            return _permissions(options, terms, key, wanted, (path, number))
        except (OptionError, IdentityError) as e:
            if report is not None:
                report(f"{path}:{number}: {e}")
    return None


def match_principals(
    text: bytes,
    path: str,
    key: PublicKey,
    *,
    user: str,
    address: str,
    hostname: str = "",
    now: float,
    ca_algorithms: frozenset[str] = CA_SIGNATURE_ALGORITHMS,
    report: Report | None = None,
) -> Permissions | None:
    """As `match` for an AuthorizedPrincipalsFile: each line is `[options] principal`, and `key` a
    certificate whose authority is already trusted (TrustedUserCAKeys)."""
    if key.certificate is None:
        return None
    asked = Asked(user, address, hostname or address, now)
    for number, line in _lines(text):
        line = line.partition(b"#")[0].rstrip(b" \t\r")
        blank = max(line.rfind(b" "), line.rfind(b"\t"))
        principal = line[blank + 1 :].decode("utf-8", "surrogateescape")
        if not principal or principal not in key.certificate.principals:
            continue
        try:
            options = parse_options(line[: max(blank, 0)].strip(b" \t"))
            if options.cert_authority:
                raise OptionError("cert-authority is not valid here")
            terms = _authorize(options, key, asked, ca_algorithms, (principal,))
            return _permissions(options, terms, key, key.authority, (path, number))
        except (OptionError, IdentityError) as e:
            if report is not None:
                report(f"{path}:{number}: {e}")
    return None


def match_certificate(
    key: PublicKey,
    *,
    user: str,
    address: str,
    now: float,
    ca_algorithms: frozenset[str] = CA_SIGNATURE_ALGORITHMS,
) -> Permissions:
    """The permissions of a certificate for `user` by an authority of TrustedUserCAKeys, where no
    AuthorizedPrincipalsFile is set. Raises IdentityError."""
    terms = check_user_certificate(key, user, address, now, ca_algorithms)
    # There are no key options, so the certificate alone decides about the touch.
    options = KeyOptions(no_touch_required=True)
    return _permissions(options, terms, key, key.authority, ("", 0))


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each line that is neither blank, a comment nor over-long."""
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.strip(b" \t\r") if len(raw) <= MAX_LINE else b""
        if line and not line.startswith(b"#"):
            yield number, line


def _options_of_key(line: bytes, wanted: PublicKey) -> KeyOptions | None:
    """The options of a line if it holds the key `wanted`, else None. Raises OptionError."""
    if _holds(line, wanted):
        return KeyOptions()
    if wanted.algorithm.encode() not in line:
        return None  # spares parsing the options of all other people's keys
    end = options_end(line)
    if not _holds(line[end:].lstrip(b" \t"), wanted):
        return None
    return parse_options(line[:end])


def _holds(text: bytes, wanted: PublicKey) -> bool:
    fields = text.split(None, 2)
    if len(fields) < 2 or fields[0] != wanted.algorithm.encode():
        return False
    try:
        return decode_base64(fields[1]) == wanted.blob
    except IdentityError:
        return False


def _authorize(
    options: KeyOptions,
    key: PublicKey,
    asked: Asked,
    ca_algorithms: frozenset[str],
    principals: tuple[str, ...] | None = None,
) -> CertificateTerms | None:
    """The certificate's terms, None for a plain key. Raises OptionError or IdentityError unless
    everything allows the login."""
    if options.expires is not None and options.expires < asked.now:
        raise OptionError("the entry has expired")
    if options.principals is not None and not options.cert_authority:
        raise OptionError("principals= on a key that is no authority")
    if options.source is not None:
        try:
            fits = match_host_and_address(asked.hostname, asked.address, options.source)
        except PatternError as e:
            raise OptionError(f"invalid from=: {e}") from None
        if not fits:
            raise OptionError(f"the key may not be used from {asked.hostname} ({asked.address})")
    if not key.is_certificate:
        return None
    if options.principals is not None:
        principals = tuple(filter(None, options.principals.split(",")))
    terms = check_user_certificate(
        key, asked.user, asked.address, asked.now, ca_algorithms, principals=principals
    )
    forced = terms.force_command
    if forced is not None and options.command not in (None, forced):
        raise OptionError("forced commands of key and certificate differ")
    return terms


def _if_any(pattern: str | None) -> tuple[str, ...]:
    return () if pattern is None else (pattern,)


def _permissions(
    options: KeyOptions,
    terms: CertificateTerms | None,
    key: PublicKey,
    matched: PublicKey,
    place: tuple[str, int],
) -> Permissions:
    """Key options and certificate together: allowed is what both allow."""
    both = terms or CertificateTerms(None, None, False, True, True, True, True, True, True)
    forced = options.command if both.force_command is None else both.force_command
    certificate = key.certificate
    return Permissions(
        command=forced,
        environment=options.environment,
        pty=options.pty and both.pty,
        agent_forwarding=options.agent_forwarding and both.agent_forwarding,
        port_forwarding=options.port_forwarding and both.port_forwarding,
        x11_forwarding=options.x11_forwarding and both.x11_forwarding,
        user_rc=options.user_rc and both.user_rc,
        permitopen=options.permitopen,
        permitlisten=options.permitlisten,
        tunnel=options.tunnel,
        no_touch_required=options.no_touch_required and both.no_touch_required,
        verify_required=options.verify_required or both.verify_required,
        expires=options.expires,
        sources=_if_any(options.source),
        source_addresses=_if_any(both.source_address),
        path=place[0],
        line=place[1],
        fingerprint=matched.fingerprint(),
        certificate_id=certificate.key_id if certificate else "",
        certificate_serial=certificate.serial if certificate else 0,
        principals=certificate.principals if certificate else (),
    )
