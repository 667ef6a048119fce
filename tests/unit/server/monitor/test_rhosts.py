"""Lists of hosts that vouch for their users: shosts.equiv, ~/.shosts and their kin."""

import dataclasses
import os
import shutil
import subprocess
import sys

import pytest

from qsh.config.server_settings import ServerSettings
from qsh.server.accounts import netgroups
from qsh.server.accounts.accounts import own_account
from qsh.server.monitor import rhosts
from qsh.server.monitor.rhosts import Stranger, is_listed, may_enter
from tests.sources import ROOT

ALICE = Stranger("client.example", "192.0.2.1", "alice")


@pytest.mark.parametrize(
    ("text", "is_in"),
    [
        (b"client.example\n", True),
        (b"CLIENT.example alice", True),
        (b"192.0.2.1", True),
        (b"client.example bob\n", False),
        (b"# client.example\n\nother.example\n", False),
        (b"client.example bob\nclient.example +alice\n", True),
        (b"-client.example\nclient.example\n", False),
        (b"client.example -alice\nclient.example\n", False),
        (b"client.example\n-client.example\n", True),
        (b"+\n", False),
        (b"+ +\n", False),
        (b"client.example +\n", False),
        (b"NO_PLUS\nclient.example\n", True),
        (b"client.example alice extra\n", False),
        (b"@nobodys\n", False),
        (b"client.example @nobodys\n", False),
        (b"-@nobodys\nclient.example\n", True),
        (b"client.example -@nobodys\nclient.example\n", True),
        (b"other.example -@nobodys\nclient.example\n", True),
        (b"*\n", False),
        (b"client.example.org\n", False),
        (b"\xff\xfe\0", False),
        (b"", False),
    ],
)
def test_the_first_line_for_somebody_decides(text, is_in):
    assert is_listed(text, ALICE, "alice", print) is is_in


@pytest.mark.parametrize(
    ("text", "is_in"),
    [
        (b"@group\n", False),
        (b"client.example @group\n", False),
        (b"-@group\nclient.example\n", False),
        (b"client.example -@group\nclient.example\n", False),
        (b"other.example -@group\nclient.example\n", True),
        (b"@group bob\nclient.example\n", True),
    ],
)
def test_where_the_c_library_has_no_netgroups_a_line_with_one_lets_nobody_in(
    text, is_in, monkeypatch
):
    monkeypatch.setattr(netgroups, "_look_up", None)
    lines = []
    assert is_listed(text, ALICE, "alice", lines.append) is is_in
    assert set(lines) == {"netgroups cannot be looked up here: no member is let in"}


NETGROUPS = """\
hosts (client.example,-,)
addresses (192.0.2.1,-,)
people (-,alice,) (-,carol,)
all hosts addresses
"""
ASK = """\
import sys
from qsh.server.monitor.rhosts import Stranger, is_listed
alice = Stranger("client.example", "192.0.2.1", "alice")
for line in sys.stdin.buffer.read().split(b"|"):
    print(is_listed(line, alice, "alice", print))
"""
MEMBERS = {
    b"@hosts": True, b"+@hosts": True, b"@addresses": True, b"@all": True, b"@people": False,
    b"@hosts bob": False, b"@hosts @people": True, b"client.example +@people": True,
    b"client.example @hosts": False, b"-@hosts\nclient.example": False,
    b"-@people\nclient.example": True, b"client.example -@people\nclient.example": False,
    b"-@none\n@all": True,
}  # fmt: skip


@pytest.mark.root
def test_netgroups_are_those_of_the_c_library(tmp_path):
    """With an /etc of its own, which says that netgroups come from files."""
    for name in ("passwd", "group", "ld.so.cache"):
        shutil.copy(f"/etc/{name}", tmp_path / name)
    (tmp_path / "nsswitch.conf").write_text("passwd: files\nnetgroup: files\n")
    (tmp_path / "netgroup").write_text(NETGROUPS)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc && shift && exec "$@"', "sh",
         tmp_path, sys.executable, "-c", ASK],
        input=b"|".join(MEMBERS), capture_output=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = [line == "True" for line in done.stdout.decode().split()]
    assert dict(zip(MEMBERS, said, strict=True)) == MEMBERS


def test_without_a_user_the_account_has_the_same_name():
    assert not is_listed(b"client.example\n", ALICE, "root", print)
    assert is_listed(b"client.example alice\n", ALICE, "root", print)


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Whether ALICE may enter: ask(uid, **settings); files are those in ask.folder."""
    monkeypatch.setattr(rhosts, "EQUIVALENT", (str(tmp_path / "equiv"),))

    def ask(uid=1000, **settings):
        account = dataclasses.replace(own_account(), name="alice", home=str(tmp_path), uid=uid)
        ask.lines = []
        if uid != os.geteuid():
            monkeypatch.setattr(rhosts, "read_as_user", _read)
        values = ServerSettings(**({"strict_modes": False} | settings))
        return may_enter(ALICE, account, values, ask.lines.append)

    ask.folder = tmp_path
    return ask


def _read(path, account, report, *, is_strict):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def test_the_administrators_file_does_not_count_for_root(ask):
    (ask.folder / "equiv").write_text("client.example alice\n")
    assert ask()
    assert not ask(uid=0)


def test_a_file_that_others_may_write_does_not_count(ask):
    (ask.folder / "equiv").write_text("client.example\n")
    (ask.folder / "equiv").chmod(0o664)
    assert not ask()
    assert ask.lines == [f"{ask.folder}/equiv: bad ownership or modes"]


@pytest.mark.parametrize(
    ("name", "ignore", "is_in"),
    [(".shosts", "yes", False), (".shosts", "no", True), (".shosts", "shosts-only", True),
     (".rhosts", "yes", False), (".rhosts", "no", True), (".rhosts", "shosts-only", False)],
)  # fmt: skip
def test_a_users_own_file_counts_where_ignorerhosts_lets_it(ask, name, ignore, is_in):
    (ask.folder / name).write_text("client.example\n")
    assert ask(ignore_rhosts=ignore) is is_in
    assert not ask() or ignore == "yes"
