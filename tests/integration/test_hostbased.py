"""HostbasedAuthentication by the real ssh-keysign: the host vouches for its user."""

import os
import subprocess
from pathlib import Path

import pytest

from qsh.client.login.hostbased import PROGRAMS
from tests.integration.harness import USER, make_key, public

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not any(map(os.path.exists, PROGRAMS)), reason="there is no ssh-keysign"),
]

MOUNTED = ("unshare", "--mount", "--propagation", "private", "sh", "-c")


@pytest.fixture
def system(tmp_path):
    """An /etc/ssh of our own, for both programs: its folder."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "ssh_config").write_text("EnableSSHKeysign yes\n")
    key = make_key(folder / "ssh_host_ed25519_key")
    (folder / "shosts.equiv").write_text(f"localhost {USER}\n")
    (folder / "ssh_known_hosts").write_text(
        "".join(f"{name} {public(key)}\n" for name in ("localhost", "127.0.0.1"))
    )
    return folder


@pytest.fixture
def vouched(system, own_daemon, new_client, account, monkeypatch):
    """A client without a key of its own whose host vouches for it: vouched(*server's settings)."""
    prefix = (*MOUNTED, f'mount --bind {system} /etc/ssh && exec "$@"', "sh")
    subprocess.run(["usermod", "-p", "*", account.name], check=True)

    def make(*settings):
        own = ("HostbasedAuthentication yes", "UsePAM no", "UseDNS yes", *settings)
        make.daemon = own_daemon(*own, prefix=prefix)
        client = new_client(make.daemon)
        client.prefix = prefix
        client.configure(f"User {account.name}", "HostbasedAuthentication yes",
                         "PubkeyAuthentication no", "BatchMode yes")  # fmt: skip
        return client

    return make


def test_a_host_vouches_for_its_user(vouched, account):
    client = vouched("ExposeAuthInfo yes")
    done = client("host", 'id -un; cat "$SSH_USER_AUTH"')
    assert done.status == 0, done.stderr + vouched.daemon.log
    name, proof = done.stdout.decode().splitlines()
    assert name == account.name
    assert proof.startswith("hostbased ssh-ed25519 ")
    assert f'client user "{USER}", client host "localhost"' in vouched.daemon.log


@pytest.mark.one_pair
def test_only_hosts_and_users_that_are_listed(vouched, system):
    client = vouched()
    (system / "shosts.equiv").write_text(f"localhost somebody\nelsewhere {USER}\n")
    assert client("host", "true").status == 255
    (system / "shosts.equiv").write_text(f"localhost {USER}\n")
    assert client("host", "true").status == 0
    (system / "ssh_known_hosts").write_text("")
    assert client("host", "true").status == 255


@pytest.mark.one_pair
def test_only_where_the_administrator_lets_the_host_sign(vouched, system):
    client = vouched()
    (system / "ssh_config").write_text("")
    done = client("host", "true")
    assert done.status == 255
    assert "ssh-keysign not enabled" in done.stderr


@pytest.mark.one_pair
def test_it_may_be_one_of_two_proofs(vouched, account):
    client = vouched("AuthenticationMethods hostbased,publickey", "AuthorizedKeysFile .keys")
    assert client("host", "true").status == 255
    (Path(account.entry.pw_dir) / ".keys").write_text(public(client.key))
    assert client("-o", "PubkeyAuthentication=yes", "host", "true").status == 0
    assert "Partial hostbased" in vouched.daemon.log
