import dataclasses
import os
import subprocess

import pytest

from qsh.auth import revoked
from qsh.auth.public_key import PublicKey
from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.environment import Peers
from qsh.server.monitor.key_lookup import KeyLookup

PEERS = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))


class Lab:
    """A home folder with keys, and the lines that the lookup reports."""

    def __init__(self, folder):
        self.folder = folder
        (folder / ".ssh").mkdir()
        self.account = dataclasses.replace(own_account(), name="alice", home=str(folder))
        self.file = folder / ".ssh" / "authorized_keys"
        self.lines = []
        self.settings = {"strict_modes": False}
        self.hostname = ""

    def key(self, name="key", *options):
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return PublicKey.from_file(f"{path}.pub")

    def certificate(self, *principals):
        """A new key's certificate, by the authority `ca`."""
        self.key("user")
        names = ",".join(principals)
        subprocess.run(
            ["ssh-keygen", "-q", "-s", self.folder / "ca", "-I", "id", "-n", names, "user.pub"],
            check=True, cwd=self.folder, capture_output=True,
        )  # fmt: skip
        return PublicKey.from_file(str(self.folder / "user-cert.pub"))

    def find(self, key, **settings):
        lookup = KeyLookup(
            ServerSettings(**(self.settings | settings)), PEERS, self.lines.append, self.hostname
        )
        return lookup.permissions(key, self.account, 1.8e9)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_the_users_file(lab):
    key = lab.key()
    assert lab.find(key) is None
    lab.file.write_text(f'no-pty,command="x" {key.authorized_line()}\n')
    found = lab.find(key)
    assert (found.command, found.pty, found.path) == (b"x", False, str(lab.file))
    assert lab.find(lab.key("other")) is None


def test_tokens_and_second_file(lab):
    key = lab.key()
    (lab.folder / "alice.keys").write_text(key.authorized_line())
    files = (".ssh/authorized_keys", f"{lab.folder}/%u.keys")
    assert lab.find(key, authorized_keys_files=files).path == f"{lab.folder}/alice.keys"
    assert lab.find(key, authorized_keys_files=("none",)) is None


def test_strict_modes(lab):
    key = lab.key()
    lab.file.write_text(key.authorized_line())
    lab.file.chmod(0o666)
    assert lab.find(key, strict_modes=True) is None
    assert lab.lines == [
        f"Authentication refused: bad ownership or modes for file {lab.file}"
    ]
    assert lab.find(key) is not None


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")]
)
def test_only_a_regular_file_is_read(lab, make, strict):
    make(lab.file)
    assert lab.find(lab.key(), strict_modes=strict) is None
    assert "is not a regular file" in lab.lines.pop()


def test_a_terminal_in_the_files_place_does_not_become_ours(lab):
    master, slave = os.openpty()
    lab.file.symlink_to(os.ttyname(slave))
    key = lab.key()
    child = os.fork()
    if child == 0:
        os.setsid()
        lab.find(key)
        try:
            os.open("/dev/tty", os.O_RDWR)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    os.close(slave)
    os.close(master)


def test_from_is_checked_and_said(lab):
    key = lab.key()
    lab.file.write_text(f'from="198.51.100.0/24" {key.authorized_line()}\n')
    assert lab.find(key) is None
    assert "192.0.2.1" in lab.lines[0]


def test_from_may_name_the_clients_verified_name(lab):
    key = lab.key()
    lab.file.write_text(f'from="*.example.org" {key.authorized_line()}\n')
    assert lab.find(key) is None
    lab.hostname = "a.example.org"
    assert lab.find(key) is not None


def test_trusted_authority(lab):
    lab.key("ca")
    certificate = lab.certificate("alice", "admin")
    assert lab.find(certificate) is None
    trusted = {"trusted_user_ca_keys": str(lab.folder / "ca.pub")}
    assert lab.find(certificate, **trusted).certificate_id == "id"
    lab.account = dataclasses.replace(lab.account, name="bob")
    assert lab.find(certificate, **trusted) is None
    assert lab.find(certificate, trusted_user_ca_keys="/no/such/file") is None


def test_principals_file(lab):
    lab.key("ca")
    certificate = lab.certificate("admin")
    settings = {
        "trusted_user_ca_keys": str(lab.folder / "ca.pub"),
        "authorized_principals_file": "principals",
    }
    assert lab.find(certificate, **settings) is None
    (lab.folder / "principals").write_text('command="ls" admin\n')
    assert lab.find(certificate, **settings).command == b"ls"


def test_revoked(lab):
    key = lab.key()
    lab.file.write_text(key.authorized_line())
    revoked = lab.folder / "revoked"
    assert lab.find(key, revoked_keys=str(revoked)) is None  # fails closed
    assert "refusing all keys" in lab.lines.pop()
    revoked.write_text(lab.key("other").authorized_line())
    assert lab.find(key, revoked_keys=str(revoked)) is not None
    revoked.write_text(key.authorized_line())
    assert lab.find(key, revoked_keys=str(revoked)) is None
    assert "is revoked by" in lab.lines.pop()


def test_a_list_that_has_not_changed_is_parsed_once(lab, monkeypatch):
    key = lab.key()
    lab.file.write_text(key.authorized_line())
    path = lab.folder / "revoked"
    path.write_text(lab.key("other").authorized_line())
    parsed, parse = [], revoked.parse
    monkeypatch.setattr(revoked, "parse", lambda data: parsed.append(data) or parse(data))
    for _ in range(3):
        assert lab.find(key, revoked_keys=str(path)) is not None
    assert len(parsed) == 1
    path.write_text(key.authorized_line())
    assert lab.find(key, revoked_keys=str(path)) is None
    path.unlink()
    assert lab.find(key, revoked_keys=str(path)) is None


@pytest.mark.root
def test_read_with_the_users_rights(lab):
    key = lab.key()
    lab.file.write_text(key.authorized_line())
    lab.file.chmod(0o600)
    for folder in (lab.folder, *lab.folder.parents[:2]):
        folder.chmod(0o755)
    assert lab.find(key) is not None
    lab.account = dataclasses.replace(lab.account, uid=65534, gid=65534, groups=(65534,))
    assert lab.find(key) is None  # the file is root's alone


def test_without_an_account_the_list_of_revoked_keys_is_read_all_the_same(lab):
    key = lab.key()
    revoked = str(lab.folder / "revoked")
    lab.account = None
    assert lab.find(key, revoked_keys=revoked) is None
    assert "refusing all keys" in lab.lines.pop()
    assert lab.find(key) is None
