"""Adding a host: what is written, and what happens where it cannot be."""

import os
import stat

import pytest

from qsh.auth.known_hosts import Kind, load
from qsh.auth.known_hosts_file import add, names_one_host, replace_keys
from tests.key_making import ED25519, OTHER, RSA, certify

KEY = ED25519.public


def kind(path, host, port=22, key=KEY):
    return load([str(path)]).check(host, port, None, key, 0).kind


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(("host", "port"), [("Host", 22), ("host", 2222), ("::1", 22), ("::1", 1)])
def test_an_added_host_is_known(tmp_path, hashed, host, port):
    path = tmp_path / "known_hosts"
    assert add(str(path), host, port, KEY, hashed) is None
    assert kind(path, host, port) is Kind.KNOWN
    assert kind(path, host, port, OTHER.public) is Kind.CHANGED
    assert path.read_text().startswith("|1|") is hashed


def test_file_and_folder_are_private(tmp_path):
    path = tmp_path / ".ssh" / "known_hosts"
    assert add(str(path), "host", 22, KEY) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == f"host {KEY.authorized_line()}\n"


def test_lines_are_appended_also_after_half_a_line(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"one {RSA.public.authorized_line()}")
    assert add(str(path), "two", 22, KEY) is None
    assert kind(path, "one", key=RSA.public) is Kind.KNOWN
    assert kind(path, "two") is Kind.KNOWN
    assert path.read_text().count("\n") == 2


def test_of_a_certificate_the_key_is_written(tmp_path):
    path = tmp_path / "known_hosts"
    assert add(str(path), "host", 22, certify(KEY, kind=2)) is None
    assert kind(path, "host") is Kind.KNOWN


def test_a_full_disk_is_a_value():
    assert add("/dev/full", "host", 22, KEY) == "/dev/full: No space left on device"


def test_a_line_that_fits_only_in_part_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "known_hosts"
    assert add(str(path), "one", 22, KEY) is None
    before = path.read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
    assert "No space left" in add(str(path), "two", 22, KEY)
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_written_is_a_value(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "known", "/nonexistent/a/known", "a\0b"):
        assert add(str(path), "host", 22, KEY).startswith(f"{path}: ")


@pytest.mark.plain
def test_an_unwritable_file_is_a_value(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text("")
    path.chmod(0o400)
    assert add(str(path), "host", 22, KEY) == f"{path}: Permission denied"


def test_nothing_is_kept_in_dev_null():
    assert add("/dev/null", "host", 22, KEY) is None


@pytest.mark.parametrize("hashed", [False, True])
def test_keys_are_replaced_on_lines_for_this_host_alone(tmp_path, hashed):
    path, link = tmp_path / "known_hosts", tmp_path / "link"
    link.symlink_to(path)
    others = [
        "# a comment", f"host,other {RSA.public.authorized_line()}",
        f"h* {RSA.public.authorized_line()}", f"host2 {RSA.public.authorized_line()}",
        f"@revoked host {RSA.public.authorized_line()}",
    ]  # fmt: skip
    path.write_text("\n".join(others) + "\n")
    path.chmod(0o640)
    assert add(str(path), "host", 22, RSA.public, hashed) is None
    before = path.read_text()
    assert replace_keys(str(link), "host", {RSA.public.blob}, [KEY], hashed) is None
    lines = path.read_text().splitlines()
    assert lines[:-1] == others
    assert lines[-1].startswith("|1|") is hashed
    assert kind(path, "host") is Kind.KNOWN
    assert len(before.splitlines()) == len(lines)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["known_hosts", "link"]


def test_what_cannot_be_replaced_stays(tmp_path):
    path = tmp_path / "known_hosts"
    assert "No such file" in replace_keys(str(path), "host", set(), [KEY])
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "alone"),
    [("host", True), ("|1|a|b", True), ("host,a", False), ("h?st", False), ("!host", False),
     ("@revoked host", False)],
)  # fmt: skip
def test_lines_that_name_one_host(tmp_path, line, alone):
    path = tmp_path / "known_hosts"
    path.write_text(f"# first\n{line} {KEY.authorized_line()}\n")
    assert names_one_host(str(path), 2) is alone
    assert not names_one_host(str(path), 3)
    assert not names_one_host(f"{path}x", 1)
