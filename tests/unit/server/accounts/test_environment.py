import os

from hypothesis import given
from hypothesis import strategies as st

from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import (
    Peers,
    accepted_from_client,
    child_arguments,
    child_environment,
    message_of_the_day,
    parse_environment_file,
    read_environment_file,
)

ALICE = Account("alice", 1000, 1000, (1000,), ("alice",), "/home/alice", "/bin/zsh")
PEERS = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))
NOTHING = {
    "from_client": {}, "from_key": {}, "from_file": {}, "from_rules": {}, "from_settings": {},
    "from_daemon": {},
}  # fmt: skip


def test_arguments():
    assert child_arguments("/bin/zsh", None) == [b"-zsh"]
    assert child_arguments("/bin/zsh", b"echo \xff") == [b"zsh", b"-c", b"echo \xff"]


def test_plain():
    environment = child_environment(ALICE, PEERS, **NOTHING)
    assert environment == {
        "USER": "alice", "LOGNAME": "alice", "HOME": "/home/alice", "SHELL": "/bin/zsh",
        "MAIL": "/var/mail/alice",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
        "SSH_CLIENT": "192.0.2.1 4242 22",
        "SSH_CONNECTION": "192.0.2.1 4242 198.51.100.1 22",
    }  # fmt: skip


def test_terminal_and_forced_command():
    environment = child_environment(
        ALICE, PEERS, **NOTHING, tty="/dev/pts/3", term="xterm", original_command=b"ls \xff"
    )
    assert environment["SSH_TTY"] == "/dev/pts/3"
    assert environment["TERM"] == "xterm"
    assert os.fsencode(environment["SSH_ORIGINAL_COMMAND"]) == b"ls \xff"


def test_who_overrides_whom():
    sources = {
        "from_client": {"HOME": "/tmp", "A": "client", "B": "client"},
        "from_key": {"A": "key", "B": "key"},
        "from_file": {"B": "file", "C": "file"},
        "from_rules": {"C": "rules", "D": "rules"},
        "from_settings": {"C": "settings", "SSH_CLIENT": "lie"},
        "from_daemon": {"TZ": "UTC", "SECRET": "x"},
    }
    environment = child_environment(ALICE, PEERS, **sources)
    assert environment["HOME"] == "/home/alice"
    assert (environment["A"], environment["B"], environment["C"]) == ("key", "file", "settings")
    assert environment["D"] == "rules"
    assert environment["SSH_CLIENT"] == "192.0.2.1 4242 22"
    assert environment["TZ"] == "UTC"
    assert "SECRET" not in environment


def test_accept_env():
    sent = [("LANG", "C"), ("LC_ALL", "x"), ("LD_PRELOAD", "y"), ("LC_\0", "z"), ("LC_=", "")]
    assert accepted_from_client(sent, ("LANG", "LC_*")) == {"LANG": "C", "LC_ALL": "x"}
    assert accepted_from_client(sent, ()) == {}


def test_environment_file(tmp_path):
    text = "# comment\nA=1\n  B=two words \nnot a line\n=x\nLD_PRELOAD=/evil\n"
    assert parse_environment_file(text, ["A", "B"]) == {"A": "1", "B": "two words "}
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "environment").write_text("X=y\n")
    assert read_environment_file(str(tmp_path), ["*"]) == {"X": "y"}
    assert read_environment_file("/nonexistent", ["*"]) == {}


@given(st.text())
def test_any_environment_file_can_be_executed(text):
    for name, value in parse_environment_file(text).items():
        assert name
        assert "=" not in name
        assert "\0" not in name + value


def test_motd(tmp_path):
    assert message_of_the_day(str(tmp_path / "none")) == b""
    (tmp_path / "motd").write_text("welcome\n")
    assert message_of_the_day(str(tmp_path / "motd")) == b"welcome\n"
