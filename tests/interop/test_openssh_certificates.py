"""Certificates and revocation lists that ssh-keygen makes."""

import pytest

from qsh.auth.certificates import check_host_certificate, check_user_certificate
from qsh.auth.keys import PublicKey, certificate_of, load_private, public_of
from qsh.auth.revoked import load
from qsh.errors import HostKeyError, IdentityError
from tests.interop.conftest import run
from tests.interop.test_openssh_keys import TYPES

NOW = 1_800_000_000


def sign(authority, path, *arguments):
    """The certificate for `path` by `authority`, made anew."""
    run("ssh-keygen", "-q", "-s", authority, "-I", "some id", *arguments, path)
    return certificate_of(path)


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
@pytest.mark.parametrize("authority", TYPES, ids=" ".join)
def test_every_type_for_every_type(keygen, kind, authority):
    path = keygen("id", *kind)
    certificate = sign(keygen("ca", *authority), path, "-n", "alice", "-z", "42")
    terms = check_user_certificate(certificate, "alice", "192.0.2.1", NOW)
    assert terms.pty
    assert certificate.certificate.serial == 42
    assert certificate.certificate.key_id == "some id"
    key = load_private(path).with_certificate(certificate)
    assert certificate.verify(b"data", key.sign(b"data"))


def test_options(keygen):
    certificate = sign(
        keygen("ca", "ed25519"), keygen("id", "ed25519"), "-n", "alice,bob", "-V",
        "20260101000000Z:20280101000000Z", "-O", "clear", "-O", "permit-pty", "-O",
        "force-command=/bin/id -u", "-O", "source-address=192.0.2.0/24", "-O", "verify-required",
        "-O", "no-touch-required", "-O", "extension:new@qsh=x",
    )
    terms = check_user_certificate(certificate, "bob", "192.0.2.9", NOW)
    assert terms.force_command == b"/bin/id -u"
    assert terms.source_address == "192.0.2.0/24"
    assert (terms.verify_required, terms.no_touch_required, terms.pty) == (True, True, True)
    assert not terms.port_forwarding
    for user, address, now in (
        ("carol", "192.0.2.9", NOW), ("bob", "10.0.0.1", NOW), ("bob", "192.0.2.9", 1_830_384_000),
        ("bob", "192.0.2.9", 1_767_225_599),
    ):
        with pytest.raises(IdentityError):
            check_user_certificate(certificate, user, address, now)
    assert certificate.certificate.valid_after == 1_767_225_600
    assert certificate.certificate.valid_before == 1_830_297_600


def test_an_unknown_critical_option_refuses(keygen):
    certificate = sign(
        keygen("ca", "ed25519"), keygen("id", "ed25519"), "-n", "alice", "-O", "critical:new@qsh=x"
    )
    with pytest.raises(IdentityError, match="unsupported critical option 'new@qsh'"):
        check_user_certificate(certificate, "alice", "192.0.2.1", NOW)


def test_a_host_certificate(keygen):
    certificate = sign(
        keygen("ca", "ed25519"), keygen("host", "rsa", "-b", "2048"), "-h", "-n",
        "www.example.com,*.example.org",
    )
    check_host_certificate(certificate, "www.example.com", NOW)
    check_host_certificate(certificate, "any.example.org", NOW)
    with pytest.raises(HostKeyError):
        check_host_certificate(certificate, "example.com", NOW)
    with pytest.raises(IdentityError):
        check_user_certificate(certificate, "www.example.com", "192.0.2.1", NOW)


def test_an_authority_that_signs_with_sha1_is_refused(keygen):
    authority, path = keygen("ca", "rsa", "-b", "2048"), keygen("id", "ed25519")
    try:
        certificate = sign(authority, path, "-n", "alice", "-t", "ssh-rsa")
    except AssertionError:
        pytest.skip("this ssh-keygen makes no SHA-1 signatures any more")
    with pytest.raises(IdentityError, match="no good signature"):
        check_user_certificate(certificate, "alice", "192.0.2.1", NOW)


def test_fingerprint_of_a_certificate(keygen):
    path = keygen("id", "ed25519")
    certificate = sign(keygen("ca", "ed25519"), path, "-n", "alice")
    printed = run("ssh-keygen", "-l", "-f", path + "-cert.pub").decode()
    assert printed.split()[1] == certificate.fingerprint() == public_of(path).fingerprint()
    assert printed.endswith(f"({certificate.key_type_name})\n")


@pytest.fixture
def revoked(tmp_path):
    """revoked(*arguments, spec=...) makes a KRL and gives (path, list)."""

    def make(*arguments, spec=None):
        path = str(tmp_path / "krl")
        files = list(arguments)
        if spec is not None:
            (tmp_path / "spec").write_text(spec)
            files.append(str(tmp_path / "spec"))
        run("ssh-keygen", "-k", "-q", "-f", path, *files)
        return path, load(path)

    return make


def test_a_krl_of_keys(keygen, revoked):
    paths = [keygen(f"id{n}", "ed25519") for n in range(3)]
    _, listed = revoked(paths[0] + ".pub", paths[1] + ".pub")
    assert [listed.revokes(public_of(path)) for path in paths] == [True, True, False]


@pytest.mark.parametrize(
    "spec",
    ["serial: 5\nserial: 7\n", "serial: 5-9\n", "serial: 4\nserial: 6\nserial: 8\nserial: 90\n",
     "id: id-3\nid: id-90\n", "serial: 1-4\nserial: 1000000-1000009\nserial: 95\n"],
)
def test_a_krl_of_certificates(keygen, revoked, spec):
    authority, path = keygen("ca", "ed25519"), keygen("id", "ed25519")
    krl, listed = revoked("-s", authority + ".pub", spec=spec)
    for serial in (0, 3, 5, 6, 9, 90, 95, 1000001):
        run("ssh-keygen", "-q", "-s", authority, "-I", f"id-{serial}", "-z", str(serial), path)
        assert listed.revokes(certificate_of(path)) is openssh_says(krl, path + "-cert.pub")


@pytest.mark.parametrize("kind", ["key", "sha1", "sha256", "hash"])
def test_a_krl_of_hashes(keygen, revoked, kind):
    path = keygen("id", "ed25519")
    public = public_of(path)
    what = public.fingerprint() if kind == "hash" else public.authorized_line()
    krl, listed = revoked(spec=f"{kind}: {what}\n")
    other = keygen("other", "ed25519")
    for name in (path, other):
        assert listed.revokes(public_of(name)) is openssh_says(krl, name + ".pub")


def openssh_says(krl, path):
    """Whether `ssh-keygen -Q` finds the key or certificate revoked."""
    try:
        run("ssh-keygen", "-Q", "-f", krl, path)
    except AssertionError:
        return True
    return False


def test_public_files_with_certificates_are_read(keygen):
    path = keygen("id", "ecdsa", "-b", "384")
    certificate = sign(keygen("ca", "ed25519"), path, "-n", "alice")
    assert PublicKey.from_file(path + "-cert.pub") == certificate
    assert certificate.plain == public_of(path)
