"""OpenSSH certificates: what an authority's word is worth, to whom and until when.

After sshkey_cert_check_authority and auth-options.c of OpenSSH. Fails closed: a critical option
that is unknown, doubled or malformed refuses the certificate. As in OpenSSH 10.3, a certificate
without principals speaks for nobody, and only host certificates may use wildcards.
"""

from collections.abc import Collection

from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS, Certificate, CertificateKind
from qsh.auth.patterns import PatternError, match_cidr_list, match_pattern
from qsh.auth.public_key import PublicKey
from qsh.errors import DecodeError, HostKeyError, IdentityError
from qsh.record import record, replace
from qsh.wire.codec import Reader


@record
class CertificateTerms:
    """What a user certificate allows. `source_address` is a list of CIDR networks or None."""

    force_command: bytes | None = None
    source_address: str | None = None
    verify_required: bool = False
    no_touch_required: bool = False
    pty: bool = False
    agent_forwarding: bool = False
    port_forwarding: bool = False
    x11_forwarding: bool = False
    user_rc: bool = False


_EXTENSIONS = {
    "permit-pty": "pty",
    "permit-agent-forwarding": "agent_forwarding",
    "permit-port-forwarding": "port_forwarding",
    "permit-X11-forwarding": "x11_forwarding",
    "permit-user-rc": "user_rc",
    "no-touch-required": "no_touch_required",
}


def check_user_certificate(
    key: PublicKey,
    user: str,
    address: str,
    now: float,
    ca_allowed: Collection[str] = CA_SIGNATURE_ALGORITHMS,
    *,
    principals: Collection[str] | None = None,
) -> CertificateTerms:
    """The terms under which the certificate lets `user` in from `address` at `now`.

    `principals`, if given, replaces `user` as the names of which the certificate must hold one.
    Whether its authority is trusted is the caller's question. Raises IdentityError with the reason.
    """
    certificate = _check(key, CertificateKind.USER, now, ca_allowed)
    wanted = {user} if principals is None else set(principals)
    if wanted.isdisjoint(certificate.principals):
        raise IdentityError("certificate does not contain an authorized principal")
    terms = certificate_terms(certificate)
    if terms.source_address is not None:
        try:
            fits = match_cidr_list(address, terms.source_address)
        except PatternError as e:
            raise IdentityError(f"certificate source-address: {e}") from None
        if not fits:
            raise IdentityError(f"certificate is not for use from {address}")
    return terms


def check_host_certificate(
    key: PublicKey,
    host: str,
    now: float,
    ca_allowed: Collection[str] = CA_SIGNATURE_ALGORITHMS,
) -> None:
    """That the certificate speaks for `host` (a name or HostKeyAlias, without port) at `now`.

    Whether its authority is trusted for that host is for known_hosts. Raises HostKeyError.
    """
    try:
        certificate = _check(key, CertificateKind.HOST, now, ca_allowed)
    except IdentityError as e:
        raise HostKeyError(str(e)) from None
    if certificate.critical:
        raise HostKeyError(f"certificate has critical option {certificate.critical[0][0]!r}")
    if not any(match_pattern(host.lower(), name.lower()) for name in certificate.principals):
        raise HostKeyError(f"certificate is not for host {host}")


def certificate_terms(certificate: Certificate) -> CertificateTerms:
    """Options and extensions of a user certificate. Raises IdentityError."""
    terms = CertificateTerms()
    seen = set()
    for name, data in certificate.critical:
        if name in seen:
            raise IdentityError(f"certificate has critical option {name!r} twice")
        seen.add(name)
        terms = _with_critical(terms, name, data)
    for name, data in certificate.extensions:
        if name not in _EXTENSIONS:
            continue
        if data:
            raise IdentityError(f"certificate extension {name!r} is malformed")
        terms = replace(terms, **{_EXTENSIONS[name]: True})
    return terms


def _with_critical(terms: CertificateTerms, name: str, data: bytes) -> CertificateTerms:
    if name == "verify-required" and not data:
        return replace(terms, verify_required=True)
    try:
        reader = Reader(data)
        if name == "force-command":
            command = reader.string()
            reader.end()
            if b"\0" in command:
                raise DecodeError("zero byte")
            return replace(terms, force_command=command)
        if name == "source-address":
            networks = reader.string().decode("ascii")
            reader.end()
            match_cidr_list(None, networks)
            return replace(terms, source_address=networks)
    except (DecodeError, UnicodeDecodeError, PatternError):
        raise IdentityError(f"certificate option {name!r} is malformed") from None
    raise IdentityError(f"certificate has unsupported critical option {name[:64]!r}")


def _check(
    key: PublicKey, kind: CertificateKind, now: float, ca_allowed: Collection[str]
) -> Certificate:
    certificate = key.certificate
    if certificate is None:
        raise IdentityError("not a certificate")
    if certificate.kind != kind:
        raise IdentityError(f"certificate is not a {kind.name.lower()} certificate")
    if now < certificate.valid_after:
        raise IdentityError("certificate is not yet valid")
    if now >= certificate.valid_before:
        raise IdentityError("certificate has expired")
    if not certificate.principals:
        raise IdentityError("certificate lists no principals")
    # A security key that signs as an authority was touched or not: OpenSSH does not ask, either.
    if not key.authority.verify(
        certificate.signed, certificate.signature, ca_allowed, touch_required=False
    ):
        raise IdentityError("certificate has no good signature by its authority")
    return certificate
