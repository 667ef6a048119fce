"""The session that options and settings ask for."""

import pytest

from qsh.client.plan import LocalTerminal, plan_session
from qsh.config.client_settings import ClientSettings
from qsh.errors import UsageError
from qsh.wire.start_messages import EnvRequest, ExecRequest, ShellRequest, SubsystemRequest

TERMINAL = LocalTerminal(True, 80, 24, 0, 0, b"\x01\0\0\0\x03\0")
PIPE = LocalTerminal(False)


def plan(command=(), environment=None, terminal=TERMINAL, **settings):
    settings = ClientSettings("h", "h", "u", **settings)
    return plan_session(settings, tuple(command), environment or {}, terminal)


@pytest.mark.parametrize(
    ("request_tty", "command", "terminal", "has_pty"),
    [
        ("auto", (), TERMINAL, True),
        ("auto", (), PIPE, False),
        ("auto", ("ls",), TERMINAL, False),
        ("yes", ("ls",), TERMINAL, True),
        ("yes", ("ls",), PIPE, False),
        ("force", ("ls",), PIPE, True),
        ("force", (), PIPE, True),
        ("no", (), TERMINAL, False),
    ],
)
def test_who_gets_a_terminal(request_tty, command, terminal, has_pty):
    found = plan(command, terminal=terminal, request_tty=request_tty)
    assert (found.pty is not None) is has_pty
    assert (found.escape is not None) is has_pty


def test_stdin_from_dev_null_is_no_terminal():
    found = plan(stdin_null=True, request_tty="yes")
    assert found.pty is None
    assert not found.reads_stdin


def test_the_terminal_as_it_is_here():
    found = plan(environment={"TERM": "xterm"}).pty
    assert (found.term, found.columns, found.rows, found.modes) == ("xterm", 80, 24,
                                                                    TERMINAL.modes)
    assert plan().pty.term == ""
    assert plan(environment={"TERM": "xterm"}, set_env=(("TERM", "vt100"),)).pty.term == "vt100"


def test_what_runs():
    assert plan().start == ShellRequest()
    assert plan(("echo", "a b")).start == ExecRequest(b"echo a b")
    assert plan(("echo", "\udcff")).start == ExecRequest(b"echo \xff")
    assert plan(remote_command="uptime").start == ExecRequest(b"uptime")
    with pytest.raises(UsageError, match="RemoteCommand"):
        plan(("ls",), remote_command="uptime")


def test_no_session():
    assert plan(session_type="none") is None
    with pytest.raises(UsageError):
        plan(("ls",), session_type="none")


def test_environment():
    environment = {"LANG": "C", "LC_ALL": "de", "HOME": "/x", "LC_BAD": "\udcff"}
    found = plan(environment=environment, send_env=("LANG", "LC_*"), set_env=(("LANG", "fr"),))
    assert found.environment == (EnvRequest("LANG", "fr"), EnvRequest("LC_ALL", "de"))


def test_escapes_may_be_off():
    assert plan(escape_char=None).escape is None
    assert plan(escape_char="%").escape == b"%"


def test_a_subsystem():
    assert plan(("sftp",), session_type="subsystem").start == SubsystemRequest("sftp")
    assert plan(session_type="subsystem", remote_command="x y").start == SubsystemRequest("x y")
    for command in ((), ("\udcff",)):
        with pytest.raises(UsageError, match="-s needs the name"):
            plan(command, session_type="subsystem")


def test_the_background_needs_something_to_do():
    found = plan(("sleep",), fork_after_authentication=True)
    assert not found.reads_stdin
    assert plan(fork_after_authentication=True, session_type="none") is None
    with pytest.raises(UsageError, match="-f needs a command"):
        plan(fork_after_authentication=True)
