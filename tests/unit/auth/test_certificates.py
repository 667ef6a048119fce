"""What a certificate allows, to whom, from where and until when."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS, string
from qsh.auth.certificates import (
    CertificateTerms,
    check_host_certificate,
    check_user_certificate,
)
from qsh.auth.public_key import PublicKey
from qsh.errors import HostKeyError, IdentityError
from tests.key_making import ALL_KEYS, ED25519, OTHER, RSA, certify

NOW = 1_800_000_000


def check(certificate, user="alice", address="192.0.2.1", now=NOW, **more):
    return check_user_certificate(certificate, user, address, now, **more)


def test_extensions_permit_and_nothing_else_does():
    assert check(certify(ED25519.public)) == CertificateTerms(
        pty=True, agent_forwarding=True, port_forwarding=True, x11_forwarding=True, user_rc=True
    )
    assert check(certify(ED25519.public, extensions=())) == CertificateTerms()
    some = check(certify(ED25519.public, extensions=(("permit-pty", b""), ("new@qsh", b"?"))))
    assert some == CertificateTerms(pty=True)
    waived = certify(ED25519.public, extensions=(("no-touch-required", b""),))
    assert check(waived).no_touch_required


def test_critical_options():
    terms = check(certify(ED25519.public, critical=(
        ("force-command", string(b"/bin/true --x")),
        ("source-address", string(b"192.0.2.0/24,2001:db8::/32")),
        ("verify-required", b""),
    )))
    assert terms.force_command == b"/bin/true --x"
    assert terms.source_address == "192.0.2.0/24,2001:db8::/32"
    assert terms.verify_required


@pytest.mark.parametrize(
    "critical",
    [
        (("unknown@qsh", b""),),
        (("permit-pty", b""),),
        (("force-command", b""),),
        (("force-command", string(b"x") + b"more"),),
        (("force-command", string(b"x\0y")),),
        (("force-command", string(b"x")), ("force-command", string(b"x"))),
        (("source-address", string(b"")),),
        (("source-address", string(b"192.0.2.*")),),
        (("source-address", string(b"192.0.2.1/24")),),
        (("source-address", string(b"198.51.100.0/24")),),
        (("verify-required", b"x"),),
    ],
)
def test_a_critical_option_in_doubt_refuses(critical):
    with pytest.raises(IdentityError):
        check(certify(ED25519.public, critical=critical))


def test_an_extension_with_content_refuses():
    with pytest.raises(IdentityError):
        check(certify(ED25519.public, extensions=(("permit-pty", b"x"),)))


@pytest.mark.parametrize(
    ("valid", "now", "fits"),
    [
        ((NOW, NOW + 10), NOW, True),
        ((NOW, NOW + 10), NOW + 9.9, True),
        ((NOW, NOW + 10), NOW + 10, False),
        ((NOW, NOW + 10), NOW - 1, False),
        ((0, 2**64 - 1), NOW, True),
    ],
)
def test_a_certificate_has_its_time(valid, now, fits):
    certificate = certify(ED25519.public, valid=valid)
    if fits:
        check(certificate, now=now)
    else:
        with pytest.raises(IdentityError, match=r"not yet valid|expired"):
            check(certificate, now=now)


@pytest.mark.parametrize(
    ("held", "user", "wanted", "fits"),
    [
        (("alice",), "alice", None, True),
        (("bob", "alice"), "alice", None, True),
        (("bob",), "alice", None, False),
        (("*",), "alice", None, False),
        (("Alice",), "alice", None, False),
        ((), "alice", None, False),
        (("admins",), "alice", {"admins", "ops"}, True),
        (("alice",), "alice", {"admins"}, False),
        (("a,b",), "a", None, False),
        (("alice",), "alice", set(), False),
    ],
)
def test_principals_of_a_user(held, user, wanted, fits):
    certificate = certify(ED25519.public, principals=held)
    if fits:
        check(certificate, user, principals=wanted)
    else:
        with pytest.raises(IdentityError, match="principal"):
            check(certificate, user, principals=wanted)


@pytest.mark.parametrize("authority", ALL_KEYS)
def test_every_type_of_authority_signs(authority):
    check(certify(ED25519.public, authority))


def test_the_authoritys_algorithm_must_be_allowed():
    certificate = certify(ED25519.public, RSA, algorithm="rsa-sha2-256")
    check(certificate)
    with pytest.raises(IdentityError, match="no good signature"):
        check(certificate, ca_allowed=CA_SIGNATURE_ALGORITHMS - {"rsa-sha2-256"})


def test_a_changed_certificate_is_worth_nothing():
    good = certify(ED25519.public)
    changed = good.blob.replace(b"alice", b"admin")
    with pytest.raises(IdentityError, match="no good signature"):
        check(PublicKey.from_blob(changed), user="admin")


def test_kinds_are_not_mixed():
    with pytest.raises(IdentityError, match="not a user certificate"):
        check(certify(ED25519.public, kind=2))
    with pytest.raises(HostKeyError, match="not a host certificate"):
        check_host_certificate(certify(ED25519.public), "alice", NOW)
    with pytest.raises(IdentityError, match="not a certificate"):
        check(OTHER.public)


@pytest.mark.parametrize(
    ("held", "host", "fits"),
    [
        (("www.example.com",), "www.example.com", True),
        (("www.example.com",), "WWW.example.COM", True),
        (("*.example.com",), "www.example.com", True),
        (("*.example.com",), "example.com", False),
        (("192.0.2.1",), "192.0.2.1", True),
        ((), "www.example.com", False),
    ],
)
def test_principals_of_a_host(held, host, fits):
    certificate = certify(ED25519.public, kind=2, principals=held)
    if fits:
        check_host_certificate(certificate, host, NOW)
    else:
        with pytest.raises(HostKeyError):
            check_host_certificate(certificate, host, NOW)


def test_a_host_certificate_has_no_critical_options():
    certificate = certify(
        ED25519.public, kind=2, principals=("h",), critical=(("force-command", string(b"x")),)
    )
    with pytest.raises(HostKeyError, match="critical"):
        check_host_certificate(certificate, "h", NOW)


@given(st.text(max_size=20), st.binary(max_size=60))
def test_any_critical_option_gives_terms_or_an_identity_error(name, data):
    with contextlib.suppress(IdentityError):
        check(certify(ED25519.public, critical=((name, data),)))
