import dataclasses
import os
import pwd

import pytest

from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.accounts import (
    Account,
    account_refusal,
    find_account,
    list_refusal,
    nologin_text,
    own_account,
    path_refusal,
)
from qsh.server.accounts.shadow import DAY, ShadowEntry

ALICE = Account("alice", 1000, 1000, (1000, 27), ("alice", "sudo"), "/home/alice", "/bin/sh")


def test_own_account_is_in_passwd():
    entry = pwd.getpwuid(os.getuid())
    account = own_account()
    assert (account.name, account.home, account.gid) == (entry.pw_name, entry.pw_dir, entry.pw_gid)
    assert account.gid in account.groups
    assert find_account(entry.pw_name) == account


@pytest.mark.parametrize("name", ["no-such-user", "", "a\0b", "../root", "x" * 5000])
def test_unknown(name):
    assert find_account(name) is None


def test_shell_must_exist_and_run(tmp_path):
    assert account_refusal(ALICE, None, 0.0) == ""
    gone = dataclasses.replace(ALICE, shell="/no/such")
    assert account_refusal(gone, None, 0.0) == (
        "User alice not allowed because shell /no/such does not exist"
    )
    (tmp_path / "shell").touch(0o644)
    dull = dataclasses.replace(ALICE, shell=str(tmp_path / "shell"))
    assert account_refusal(dull, None, 0.0).endswith("is not executable")


def test_locked_and_expired():
    assert "locked" in account_refusal(ALICE, ShadowEntry("alice", "!$6$x"), 0.0)
    assert account_refusal(ALICE, ShadowEntry("alice", "*"), 0.0) == ""
    expires = ShadowEntry("alice", "*", expires=100)
    assert account_refusal(ALICE, expires, 99.9 * DAY) == ""
    assert account_refusal(ALICE, expires, 100.0 * DAY) == "Account alice has expired"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, ""),
        ({"deny_users": ("ali*",)}, "listed in DenyUsers"),
        ({"deny_users": ("alice@192.0.2.*",)}, "listed in DenyUsers"),
        ({"deny_users": ("alice@198.51.100.0/24",)}, ""),
        ({"allow_users": ("bob",)}, "not listed in AllowUsers"),
        ({"allow_users": ("bob", "alice@192.0.2.0/24")}, ""),
        ({"deny_groups": ("sud?",)}, "a group is listed in DenyGroups"),
        ({"allow_groups": ("wheel",)}, "none of user's groups are listed in AllowGroups"),
        ({"allow_groups": ("sudo",)}, ""),
        ({"allow_groups": ("!alice", "sudo")}, "none of user's groups are listed in AllowGroups"),
        ({"deny_users": ("alice",), "allow_users": ("alice",)}, "listed in DenyUsers"),
    ],
)
def test_lists(settings, why):
    refusal = list_refusal(ALICE, ServerSettings(**settings), "192.0.2.7")
    assert refusal == (f"User alice from 192.0.2.7 not allowed because {why}" if why else "")


def test_nologin(tmp_path):
    path = tmp_path / "nologin"
    assert nologin_text(ALICE, str(path)) is None
    path.write_text("down for repair\n")
    assert nologin_text(ALICE, str(path)) == "down for repair\n"
    assert nologin_text(dataclasses.replace(ALICE, uid=0), str(path)) is None


@pytest.fixture
def keys_file(tmp_path):
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    home.chmod(0o755)
    (home / ".ssh").chmod(0o700)
    path = home / ".ssh" / "authorized_keys"
    path.touch(0o600)
    path.chmod(0o600)
    return path


def refusal_of(path, **changes):
    home = str(path.parents[1])
    account = dataclasses.replace(ALICE, uid=os.getuid(), home=home, **changes)
    with open(path, "rb") as file:
        return path_refusal(str(path), account, file.fileno())


def test_strict_modes(keys_file):
    assert refusal_of(keys_file) == ""
    keys_file.chmod(0o620)
    assert refusal_of(keys_file) == f"bad ownership or modes for file {keys_file}"
    keys_file.chmod(0o600)
    keys_file.parent.chmod(0o777)
    assert refusal_of(keys_file) == f"bad ownership or modes for directory {keys_file.parent}"
    keys_file.parent.chmod(0o700)
    keys_file.parents[1].chmod(0o775)
    assert "for directory" in refusal_of(keys_file)


def test_strict_modes_looks_behind_links(keys_file, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    keys_file.rename(shared / "keys")
    keys_file.symlink_to(shared / "keys")
    assert refusal_of(keys_file) == f"bad ownership or modes for directory {shared}"


@pytest.mark.root
def test_strict_modes_wants_the_users_own_file(keys_file):
    os.chown(keys_file, 12345, 12345)
    assert refusal_of(keys_file) == f"bad ownership or modes for file {keys_file}"
