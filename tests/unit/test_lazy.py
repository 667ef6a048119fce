"""Each case in a Python of its own: what is imported stays imported."""

import subprocess
import sys

import pytest

import qsh.lazy


def run(code):
    """The lines that `code` prints in a fresh Python."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


def modules_after(code):
    return set(run(f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"))


def test_aioquic_comes_without_certificate_authorities():
    loaded = modules_after(
        "from qsh.lazy import light_aioquic; light_aioquic(); import aioquic.quic.connection"
    )
    assert "aioquic.quic.connection" in loaded
    assert not loaded & {"attr", "OpenSSL.SSL", "OpenSSL._util", "service_identity.hazmat"}
    assert "certifi.core" not in loaded


def test_asyncssh_comes_without_its_transport():
    loaded = modules_after(
        "from qsh.lazy import light_asyncssh; light_asyncssh(); import asyncssh.public_key"
    )
    assert "asyncssh.public_key" in loaded
    unwanted = {"connection", "sftp", "kex", "crypto.pq", "crypto.dh"}
    assert not loaded & {f"asyncssh.{name}" for name in unwanted}


def test_keys_work_without_the_rest():
    code = """
from qsh.lazy import light_asyncssh
light_asyncssh()
import asyncssh.ecdsa, asyncssh.eddsa, asyncssh.rsa
from asyncssh.public_key import generate_private_key, import_private_key
for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"):
    made = generate_private_key(kind).export_private_key(passphrase="x", rounds=4,
                                                         ignore_few_rounds=True)
    key = import_private_key(made, "x")
    print(key.convert_to_public().verify(b"data", key.sign(b"data", key.sig_algorithms[0])))
"""
    assert run(code) == ["True"] * 3


def test_what_was_left_out_loads_when_it_is_used():
    code = """
from qsh.lazy import light_aioquic, light_asyncssh
light_aioquic(); light_asyncssh()
import aioquic.tls, asyncssh, service_identity
print(asyncssh.connect.__module__)
print(service_identity.VerificationError.__name__)
from OpenSSL import SSL, crypto
print(crypto.X509Store.__name__, SSL.Context.__name__)
import certifi
print(certifi.where().endswith(".pem"))
"""
    expected = ["asyncssh.connection", "VerificationError", "X509Store Context", "True"]
    assert run(code) == expected


def test_a_name_that_nobody_has_is_an_attribute_error():
    code = """
from qsh.lazy import bare_package, defer
bare_package("email"); defer("wave")
import email, wave
for module in (email, wave):
    try:
        module.nonesuch
    except AttributeError:
        print("no such name")
print(email.message_from_string.__name__, wave.open.__name__)
"""
    assert run(code) == ["no such name", "no such name", "message_from_string open"]


@pytest.mark.parametrize("name", ["nonesuch", "nonesuch.child", "json", "sys", "os.path.child"])
def test_what_is_missing_or_loaded_is_left_alone(name):
    before = dict(sys.modules)
    qsh.lazy.bare_package(name)
    qsh.lazy.defer(name)
    assert dict(sys.modules) == before
