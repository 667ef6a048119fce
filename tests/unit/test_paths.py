"""Folders: OpenSSH's rules for ~/.ssh, the system's for qsh's own."""

import os
import pwd

import pytest

from qsh import paths


def test_home_is_the_accounts_whatever_home_says(monkeypatch):
    monkeypatch.setenv("HOME", "/elsewhere")
    account = pwd.getpwuid(os.getuid())
    assert paths.home() == account.pw_dir
    assert paths.ssh_folder() == f"{account.pw_dir}/.ssh"
    assert paths.expand_user("~/x") == f"{account.pw_dir}/x"


def test_users_in_paths():
    assert paths.expand_user("~root") == pwd.getpwnam("root").pw_dir
    assert paths.expand_user("/a/~root") == "/a/~root"
    with pytest.raises(ValueError, match="no user no-such-user"):
        paths.expand_user("~no-such-user/x")


@pytest.mark.parametrize(("base", "folder"), [("/x", "/x/qsh"), ("", None), ("relative", None)])
def test_the_users_configuration(monkeypatch, base, folder):
    monkeypatch.setenv("XDG_CONFIG_HOME", base)
    assert paths.user_config() == (folder or f"{paths.home()}/.config/qsh")


@pytest.mark.root
def test_roots_folders_are_the_systems():
    assert paths.state_folder() == "/var/lib/qsh"
    assert paths.cache_folder() == "/var/cache/qsh"
    assert paths.runtime_folder() == "/run/qsh"


def test_a_users_folders_follow_xdg(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/r")
    assert paths.state_folder() == "/s/qsh"
    assert paths.cache_folder() == "/c/qsh"
    assert paths.runtime_folder() == "/r/qsh"


def test_private_folders(tmp_path):
    path = tmp_path / "a" / "b"
    assert paths.make_private(str(path)) == str(path)
    assert path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o777)
    with pytest.raises(PermissionError, match="changed by others"):
        paths.make_private(str(path))
