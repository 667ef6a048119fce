"""Keys that ssh-keygen makes: each type, format and passphrase; signatures in both directions."""

import base64
import hashlib

import pytest

from qsh.auth.blobs import string
from qsh.auth.identities import look_at
from qsh.auth.keys import PassphraseNeeded, PublicKey, WrongPassphrase, load_private, public_of
from tests.interop.conftest import PASSPHRASE, run

TYPES = [
    ("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "384"), ("ecdsa", "-b", "521"),
    ("rsa", "-b", "2048"),
]
FORMATS = [(), ("-m", "PEM"), ("-m", "PKCS8")]


def sshsig_data(message, namespace=b"qsh-test"):
    """What an SSHSIG signature covers (PROTOCOL.sshsig)."""
    digest = hashlib.sha512(message).digest()
    return b"SSHSIG" + b"".join(map(string, (namespace, b"", b"sha512", digest)))


def sshsig_file(public, signature, namespace=b"qsh-test"):
    blob = b"SSHSIG\0\0\0\1" + b"".join(
        map(string, (public.blob, namespace, b"", b"sha512", signature))
    )
    body = base64.encodebytes(blob)
    return b"-----BEGIN SSH SIGNATURE-----\n" + body + b"-----END SSH SIGNATURE-----\n"


def openssh_verifies(tmp_path, public, signature, message):
    (tmp_path / "allowed").write_text(f"me {public.authorized_line()}\n")
    (tmp_path / "sig").write_bytes(sshsig_file(public, signature))
    run(
        "ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "me", "-n", "qsh-test",
        "-s", str(tmp_path / "sig"), input=message,
    )


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
@pytest.mark.parametrize("form", FORMATS, ids=" ".join)
def test_a_file_without_passphrase(keygen, kind, form):
    path = keygen("id", *kind, *form)
    key = load_private(path)
    assert key.public == PublicKey.from_file(path + ".pub") == public_of(path)
    assert key.public.verify(b"data", key.sign(b"data"))


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
@pytest.mark.parametrize("form", FORMATS, ids=" ".join)
def test_a_file_with_passphrase(keygen, kind, form):
    path = keygen("id", *kind, *form, passphrase=PASSPHRASE)
    key = load_private(path, PASSPHRASE)
    assert key.public == PublicKey.from_file(path + ".pub")
    assert key.public.verify(b"data", key.sign(b"data"))
    assert look_at(path).encrypted
    with pytest.raises(PassphraseNeeded) as caught:
        load_private(path)
    assert not isinstance(caught.value, WrongPassphrase)
    with pytest.raises(WrongPassphrase):
        load_private(path, b"wrong")


@pytest.mark.parametrize(
    "cipher", ["aes128-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]
)
def test_every_cipher_of_private_files(keygen, cipher):
    path = keygen("id", "ed25519", "-Z", cipher, "-a", "4", passphrase=PASSPHRASE)
    assert load_private(path, PASSPHRASE).public == public_of(path)


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
def test_openssh_verifies_our_signatures(keygen, tmp_path, kind):
    key = load_private(keygen("id", *kind))
    for name in key.public.signature_algorithms:
        signature = key.sign(sshsig_data(b"message"), name)
        openssh_verifies(tmp_path, key.public, signature, b"message")


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
def test_we_verify_signatures_of_openssh(keygen, tmp_path, kind):
    path = keygen("id", *kind)
    armored = run("ssh-keygen", "-Y", "sign", "-f", path, "-n", "qsh-test", input=b"message")
    blob = base64.b64decode(b"".join(armored.splitlines()[1:-1]))
    signature = blob[len(sshsig_prefix(blob)) + 4 :]
    public = PublicKey.from_file(path + ".pub")
    assert public.verify(sshsig_data(b"message"), signature)
    assert not public.verify(sshsig_data(b"massage"), signature)


def sshsig_prefix(blob):
    """All of an SSHSIG before its last string."""
    at = 10
    for _ in range(4):
        at += 4 + int.from_bytes(blob[at : at + 4], "big")
    return blob[:at]


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
def test_fingerprints_are_those_of_ssh_keygen(keygen, kind):
    public = public_of(keygen("id", *kind))
    line = public.authorized_line() + " a comment"
    for name in ("sha256", "md5"):
        printed = run("ssh-keygen", "-l", "-E", name, "-f", "-", input=line.encode()).decode()
        expected = f"{public.bits} {public.fingerprint(name)} a comment ({public.key_type_name})\n"
        assert printed == expected


def test_a_new_key_of_ours_is_read_by_ssh_keygen(tmp_path):
    from qsh.auth.generate import new_ed25519

    private, line = new_ed25519()
    path = tmp_path / "id"
    path.write_bytes(private)
    path.chmod(0o600)
    assert run("ssh-keygen", "-y", "-f", str(path)).decode().strip() == line
