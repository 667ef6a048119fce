import dataclasses

import pytest

from qsh.auth.authorized_keys import Permissions
from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.environment import Peers
from qsh.server.holder.pty import Terminal
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.messages import SessionKind, StartSession, encode_pairs
from qsh.server.monitor.sessions import SessionRefusedError, plan_session

PEERS = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))
TERMINAL = Terminal(-1, -1, "/dev/pts/99")
ACCOUNT = dataclasses.replace(own_account(), shell="/bin/sh")


def request(kind=SessionKind.EXEC, command=b"ls -l", variables=b""):
    return StartSession(kind, command, False, "xterm", 80, 24, 0, 0, b"", variables)


def plan(asked=None, terminal=None, permissions=None, **settings):
    login = Login(ACCOUNT, permissions or Permissions(), ServerSettings(**settings))
    return plan_session(login, asked or request(), PEERS, terminal)


def test_exec():
    planned = plan()
    assert planned.arguments == [b"sh", b"-c", b"ls -l"]
    assert (planned.is_forced, planned.original_command, planned.tty) == (False, None, None)
    assert planned.term == ""


def test_shell_on_a_terminal():
    planned = plan(request(SessionKind.SHELL, b""), TERMINAL)
    assert planned.arguments == [b"-sh"]
    assert (planned.tty, planned.term, planned.has_terminal) == ("/dev/pts/99", "xterm", True)
    assert planned.print_motd
    assert not plan(request(SessionKind.SHELL), TERMINAL, print_motd=False).print_motd
    assert not plan(request(SessionKind.SHELL)).print_motd  # no terminal


@pytest.mark.parametrize("where", ["key", "settings", "both"])
def test_forced_command(where):
    permissions = Permissions(command=b"from key" if where != "settings" else None)
    settings = {"force_command": "from settings"} if where != "key" else {}
    planned = plan(permissions=permissions, **settings)
    forced = b"from key" if where == "key" else b"from settings"
    assert planned.command == forced
    assert planned.original_command == b"ls -l"
    assert planned.is_forced


def test_a_key_that_forces_none_gives_no_freedom():
    planned = plan(permissions=Permissions(command=b"none"))
    assert planned.arguments == [b"sh", b"-c", b"none"]
    assert planned.is_forced


def test_forced_command_for_a_shell():
    planned = plan(request(SessionKind.SHELL, b""), permissions=Permissions(command=b"menu"))
    assert planned.arguments == [b"sh", b"-c", b"menu"]
    assert planned.original_command is None


def test_subsystem():
    planned = plan(
        request(SessionKind.SUBSYSTEM, b"sftp"), subsystems=(("sftp", "/usr/lib/sftp-server -l"),)
    )
    assert planned.arguments[-1] == b"/usr/lib/sftp-server -l"
    assert planned.is_forced  # takes no signals
    with pytest.raises(SessionRefusedError, match="subsystem not found"):
        plan(request(SessionKind.SUBSYSTEM, b"sftp"))


@pytest.mark.parametrize(
    ("kind", "forced", "runs_sftp"),
    [
        (SessionKind.SUBSYSTEM, {}, True),
        (SessionKind.SUBSYSTEM, {"force_command": "internal-sftp -R"}, True),
        (SessionKind.SHELL, {"force_command": "internal-sftp"}, True),  # which then refuses
        (SessionKind.EXEC, {}, False),
        (SessionKind.SUBSYSTEM, {"force_command": "internal-sftpd"}, False),
    ],
)
def test_the_servers_own_sftp(kind, forced, runs_sftp):
    subsystems = (("sftp", "internal-sftp -u 077"),)
    name = b"sftp" if kind is SessionKind.SUBSYSTEM else b"internal-sftp"
    planned = plan(request(kind, name), subsystems=subsystems, **forced)
    assert planned.runs_sftp is runs_sftp
    assert planned.is_subsystem is (kind is SessionKind.SUBSYSTEM)
    assert planned.user_rc is not (planned.is_subsystem or bool(forced))


def test_variables_of_the_client():
    sent = encode_pairs([("LANG", "C"), ("LD_PRELOAD", "/x")])
    assert plan(request(variables=sent), accept_env=("LANG",)).from_client == {"LANG": "C"}
    with pytest.raises(SessionRefusedError):
        plan(request(variables=b"\xff"))


def test_variables_of_the_key():
    permissions = Permissions(environment=(("A", "1"), ("B", "2")))
    assert plan(permissions=permissions).from_key == {}
    permitted = plan(permissions=permissions, permit_user_environment="A,C")
    assert (permitted.from_key, permitted.environment_patterns) == ({"A": "1"}, ("A", "C"))
    assert plan(permissions=permissions, permit_user_environment="yes").from_key["B"] == "2"


def test_user_rc():
    assert plan().user_rc
    assert not plan(permissions=Permissions(user_rc=False)).user_rc
    assert not plan(permit_user_rc=False).user_rc
    assert plan(permissions=Permissions(command=b"x")).user_rc
    # A file of the user's would get around what the administrator has forced.
    assert not plan(force_command="internal-sftp").user_rc


def test_a_root_that_others_can_change_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(SessionRefusedError, match=r"bad ownership|lacks privileges"):
        plan(chroot_directory=str(tmp_path))
    with pytest.raises(SessionRefusedError, match=r"unknown token|lacks privileges"):
        plan(chroot_directory="/srv/%x")


def test_command_with_a_nul():
    with pytest.raises(SessionRefusedError):
        plan(request(command=b"ls\0"))
