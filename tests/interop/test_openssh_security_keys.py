"""FIDO keys with OpenSSH's own tools and an authenticator in software (sk_provider.c)."""

import shutil
import subprocess
from pathlib import Path

import pytest

from qsh.auth.agent import Agent
from qsh.auth.keys import PublicKey, certificate_of, load_private, public_of
from qsh.auth.methods import Identity
from qsh.errors import IdentityError
from tests.interop.conftest import PASSPHRASE, run

SOURCE = Path(__file__).with_name("sk_provider.c")
KINDS = ["ed25519-sk", "ecdsa-sk"]


@pytest.fixture
def provider(tmp_path, monkeypatch):
    """The middleware library, built here."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to build the authenticator with")
    path = str(tmp_path / "provider.so")
    built = subprocess.run(
        ["cc", "-w", "-shared", "-fPIC", "-DSK_API=0x000a0000", "-o", path, SOURCE, "-lcrypto"],
        capture_output=True, check=False,
    )
    if built.returncode:
        pytest.skip("the authenticator does not build here: no headers of OpenSSL")
    monkeypatch.setenv("SSH_SK_PROVIDER", path)
    return path


@pytest.fixture
def enroll(provider, keygen):
    """enroll(type, *options) makes a key on the authenticator; its path."""

    def make(kind, *options, **more):
        try:
            return keygen("id", kind, "-w", provider, *options, **more)
        except AssertionError as e:
            if "unsupported version" in str(e) or "ssh-sk-helper" in str(e):
                pytest.skip("this OpenSSH has another interface to authenticators")
            raise

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_a_file_signs(enroll, kind):
    path = enroll(kind)
    key = load_private(path)
    assert key.public == PublicKey.from_file(path + ".pub")
    signature = key.sign(b"data")
    assert key.public.verify(b"data", signature)
    assert not key.public.verify(b"date", signature)
    assert not key.public.verify(b"data", signature, verify_required=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_under_a_passphrase_signs(enroll, kind):
    key = load_private(enroll(kind, passphrase=PASSPHRASE), PASSPHRASE)
    assert key.public.verify(b"data", key.sign(b"data"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_without_touch_is_bad_unless_that_is_allowed(enroll, kind):
    key = load_private(enroll(kind, "-O", "no-touch-required"))
    signature = key.sign(b"data")
    assert not key.public.verify(b"data", signature)
    assert key.public.verify(b"data", signature, touch_required=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_the_agent_signs(enroll, agent_path, provider, kind):
    path = enroll(kind)
    run("ssh-add", "-q", "-S", provider, path, env={"SSH_AUTH_SOCK": agent_path})
    public = public_of(path)
    with Agent(agent_path) as agent:
        assert agent.identities()[0][0] == public
        assert public.verify(b"data", agent.sign(public, b"data"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_a_security_key(enroll, keygen, kind):
    path, authority = enroll(kind), keygen("ca", "ed25519")
    run("ssh-keygen", "-q", "-s", authority, "-I", "id", "-n", "alice", path)
    certificate = certificate_of(path)
    key = load_private(path).with_certificate(certificate)
    assert certificate.verify(b"data", key.sign(b"data"))
    assert certificate.key_type_name == public_of(path).key_type_name + "-CERT"


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_fingerprints(enroll, kind):
    public = public_of(enroll(kind))
    line = public.authorized_line().encode()
    printed = run("ssh-keygen", "-l", "-f", "-", input=line).decode()
    assert printed.split()[:2] == [str(public.bits), public.fingerprint()]
    assert printed.endswith(f"({public.key_type_name})\n")
    assert Identity(public).is_interactive


def test_a_device_that_is_not_there_is_an_identity_error(enroll, monkeypatch):
    path = enroll("ed25519-sk")
    monkeypatch.setenv("SSH_SK_PROVIDER", "/nonexistent.so")
    with pytest.raises(IdentityError):
        load_private(path).sign(b"data")


def test_without_openssh_the_error_says_so(enroll, monkeypatch):
    key = load_private(enroll("ed25519-sk"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(IdentityError, match="need OpenSSH's ssh-agent"):
        key.sign(b"data")
