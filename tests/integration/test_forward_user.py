"""Forwards of a plain account at root's qshd: their sockets are opened with its rights."""

import os
import pwd
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.integration.forward_peers import LOCALHOST, EchoServer, exchange, free_port, running
from tests.integration.harness import public
from tests.integration.raw_client import wait_until

pytestmark = [pytest.mark.one_pair, pytest.mark.root]


@pytest.fixture
def account():
    """A throw-away account."""
    name = f"qsh{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "-m", "-s", "/bin/sh", "-p", "*", name], check=True)
    yield pwd.getpwnam(name)
    subprocess.run(["userdel", "-r", name], capture_output=True)


@pytest.fixture
def qsh(account, own_daemon, new_client):
    """A client that logs in to the account."""
    daemon = own_daemon("AuthorizedKeysFile .ssh/authorized_keys")
    client = new_client(daemon)
    client.configure(f"User {account.pw_name}")
    keys = Path(account.pw_dir) / ".ssh" / "authorized_keys"
    keys.parent.mkdir(mode=0o700)
    keys.write_text(public(client.key) + "\n")
    for path in (keys.parent, keys):
        os.chown(path, account.pw_uid, account.pw_gid)
    return client


def test_the_opener_is_the_users(qsh, account):
    port = free_port()
    with EchoServer() as echo:
        spec = f"{port}:{LOCALHOST}:{echo.port}"
        with running(qsh, "-N", "-L", spec, "host"):
            assert exchange(port, b"hello") == b"hello"
            [opener] = [entry for entry in Path("/proc").iterdir() if _is_opener(entry, account)]
            assert _uids(opener) == [account.pw_uid] * 4


def test_its_sockets_are_the_users_and_not_where_he_may_not(qsh, account):
    mine = f"{account.pw_dir}/socket"
    with EchoServer() as echo:
        target = f"{LOCALHOST}:{echo.port}"
        done = qsh("-R", f"{mine}:{target}", "host", "stat -c '%U %a' ~/socket")
        assert done.stdout.decode() == f"{account.pw_name} 600\n"
        assert wait_until(lambda: not Path(mine).exists())
        for where in ("/root/socket", "80"):
            done = qsh("-o", "ExitOnForwardFailure=yes", "-R", f"{where}:{target}", "host", "true")
            assert done.status == 255


def test_the_agents_folder_is_the_users(qsh, account, ssh_agent):
    command = "stat -c '%U %a' ${SSH_AUTH_SOCK%/*}; ssh-add -l"
    done = qsh("-A", "host", command, env={"SSH_AUTH_SOCK": str(ssh_agent)})
    assert done.stdout.decode().splitlines() == [
        f"{account.pw_name} 700", "The agent has no identities."
    ]  # fmt: skip


def _is_opener(process, account):
    if not process.name.isdigit():
        return False
    try:
        name = (process / "comm").read_text().strip()
        return name == "qsh-opener" and account.pw_uid in _uids(process)
    except OSError:  # it has ended
        return False


def _uids(process):
    """Real, effective, saved, file system."""
    lines = (process / "status").read_text().splitlines()
    return [int(word) for line in lines if line.startswith("Uid:") for word in line.split()[1:]]
