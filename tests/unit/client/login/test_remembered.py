"""What is remembered of hosts, and that losing it is no error."""

import pytest

from qsh.client.login.remembered import last_identity, remember_identity


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_by_user_host_and_port(state):
    assert last_identity("me", "h", 22) == ""
    remember_identity("me", "h", 22, "SHA256:one")
    remember_identity("me", "h", 2222, "SHA256:two")
    assert last_identity("me", "h", 22) == "SHA256:one"
    assert last_identity("me", "h", 2222) == "SHA256:two"
    assert last_identity("you", "h", 22) == ""
    remember_identity("me", "h", 22, "SHA256:three")
    assert last_identity("me", "h", 22) == "SHA256:three"
    files = list((state / "qsh" / "identities").iterdir())
    assert len(files) == 2
    assert all(file.stat().st_mode & 0o77 == 0 for file in files)
    assert not any(part == "h" for file in files for part in file.name.split("@"))


def test_what_cannot_be_written_is_forgotten(state):
    state.write_text("a file in the way")
    remember_identity("me", "h", 22, "SHA256:one")
    assert last_identity("me", "h", 22) == ""


def test_rubbish_is_nothing(state):
    remember_identity("me", "h", 22, "x")
    file, = (state / "qsh" / "identities").iterdir()
    file.write_bytes(b"\xff\xfe")
    assert last_identity("me", "h", 22) == ""
