"""What identity files say before a passphrase is asked for."""

import pytest

from qsh.auth.identities import look_at
from qsh.auth.keys import PublicKey
from tests.key_making import ED25519, OTHER, certify
from tests.unit.auth.test_private_key import FILE, LINE, container

KEY = PublicKey.from_line(LINE)


@pytest.fixture
def write(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def test_no_file_is_no_identity(tmp_path):
    assert look_at(str(tmp_path / "id")) is None


def test_a_plain_file(write):
    found = look_at(write("id", FILE))
    assert (found.public, found.certificates, found.encrypted) == (KEY, (), False)


def test_an_encrypted_file_tells_its_key(write):
    found = look_at(write("id", container(b"x" * 64, cipher=b"aes256-ctr")))
    assert (found.public, found.encrypted) == (ED25519.public, True)


def test_an_encrypted_pem_tells_its_key_by_its_pub_file(write):
    path = write("id", b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n")
    assert (look_at(path).public, look_at(path).encrypted) == (None, True)
    write("id.pub", LINE)
    assert look_at(path).public == KEY


def test_the_certificate_beside_the_key_is_found(write):
    path = write("id", FILE)
    write("id-cert.pub", certify(KEY).authorized_line())
    assert look_at(path).certificates == (certify(KEY),)


def test_named_certificates_take_its_place(write):
    path = write("id", FILE)
    write("id-cert.pub", certify(KEY).authorized_line())
    other = certify(KEY, serial=9)
    paths = [
        write("c1", other.authorized_line()), write("c2", certify(OTHER.public).authorized_line()),
        write("c3", LINE), "/nonexistent",
    ]
    assert look_at(path, paths).certificates == (other,)


def test_a_public_key_alone_names_one_in_the_agent(write):
    assert look_at(write("id.pub", LINE)).public == KEY
    assert look_at(write("id.pub", LINE).removesuffix(".pub")).public == KEY
