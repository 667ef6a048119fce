"""The last steps before a session's program runs, in the process that becomes it.

Runs as the user, after the fork from the holder: own session and terminal, clean signals,
descriptors 0 to 2 and no others, home directory, greetings, ~/.ssh/rc, execve(2).
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import termios
from dataclasses import dataclass
from typing import NoReturn

from qsh.server.accounts.environment import (
    STANDARD_PATH,
    child_environment,
    message_of_the_day,
    read_environment_file,
)
from qsh.server.holder.start import SessionPlan
from qsh.server.worker.x11 import X11Session, enter_cookie

UMASK = 0o022
SYSTEM_RC = "/etc/ssh/sshrc"
USER_RC = ".ssh/rc"
HUSH = ".hushlogin"
STATUS_DENIED = 254
"""As sshd's, where PAM does not open a session."""
PASSWD = "/usr/bin/passwd"  # noqa: S105
EXPIRED = (
    "WARNING: Your password has expired.\r\n"
    "You must change your password now and log in again!\r\n"
)
STATUS_NOT_RUN = 1
"""As sshd's, when the shell cannot be executed."""


@dataclass(frozen=True, slots=True)
class ChildFiles:
    """Descriptors for the child's 0, 1 and 2; `terminal` if they are one."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool


def run_child(plan: SessionPlan, files: ChildFiles) -> NoReturn:
    """Become the session's program."""
    try:
        _own_session(files)
        _clean_signals()
        os.umask(UMASK)
        environment = _environment(plan)
        _go_home(plan)
        _obey_rules(plan, files)
        if files.terminal and plan.command is None:
            _greet(plan)
        if not _run_rc(plan, environment) and plan.x11 is not None:
            _tell_xauth(plan.x11, environment)
        if plan.runs_sftp:
            os._exit(_serve_files(plan))
        shell = plan.account.shell
        try:
            os.execve(shell, plan.arguments, environment)  # noqa: S606
        except OSError as error:
            _complain(f"{shell}: {error.strerror}")
    except Exception as error:  # nobody above could report it
        _complain(f"qshd: cannot start the session: {error}")
    finally:
        os._exit(STATUS_NOT_RUN)


def _serve_files(plan: SessionPlan) -> int:
    """Be the SFTP server oneself; gives the exit status."""
    if not plan.is_subsystem:
        _complain("This service allows sftp connections only.")
        return STATUS_NOT_RUN
    from qsh.sftp.server import serve

    assert plan.command is not None
    words = os.fsdecode(plan.command).split()[1:]
    return serve(words, user=plan.account.name, home=plan.account.home)


def _own_session(files: ChildFiles) -> None:
    os.setsid()
    if files.terminal:
        fcntl.ioctl(files.stdin, termios.TIOCSCTTY, 0)
    # Above 2 first: a source may itself be one of 0 to 2.
    given = (files.stdin, files.stdout, files.stderr)
    for target, source in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 3) for fd in given]):
        os.dup2(source, target)
    os.closerange(3, 1 << 30)


def _clean_signals() -> None:
    """Python ignores SIGPIPE and others; a shell's children expect the defaults."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _environment(plan: SessionPlan) -> dict[str, str]:
    account = plan.account
    from_file = {}
    if plan.environment_patterns:
        from_file = read_environment_file(account.home, plan.environment_patterns)
    forwarded = {"SSH_AUTH_SOCK": plan.agent} if plan.agent else {}
    if plan.x11 is not None:
        forwarded["DISPLAY"] = plan.x11.display
    if plan.auth_info:
        forwarded["SSH_USER_AUTH"] = plan.auth_info
    return child_environment(
        account, plan.peers,
        from_client=plan.from_client, from_key=plan.from_key, from_file=from_file,
        from_rules=plan.from_rules, from_settings=plan.from_settings, from_daemon=os.environ,
        tty=plan.tty, term=plan.term, original_command=plan.original_command,
    ) | forwarded  # fmt: skip


def _go_home(plan: SessionPlan) -> None:
    """Within a root of its own a user need not have a home, as with sshd."""
    home = plan.account.home
    try:
        os.chdir(home)
    except OSError as error:
        if plan.root is None:
            _complain(f"Could not chdir to home directory {home}: {error.strerror}")
        os.chdir("/")


def _obey_rules(plan: SessionPlan, files: ChildFiles) -> None:
    """Show what the account's rules say; where they permit nothing else, do not return."""
    if plan.notes and (files.terminal or plan.is_denied):
        _write(1 if files.terminal else 2, plan.notes.encode("utf-8", "replace") + b"\n")
    if plan.is_denied:
        os._exit(STATUS_DENIED)
    if not plan.must_change_password:
        return
    if not files.terminal:
        _complain("Password change required but no TTY available.")
        os._exit(STATUS_NOT_RUN)
    _write(1, EXPIRED.encode())
    os.execve(PASSWD, ["passwd"], {"PATH": STANDARD_PATH, "TERM": plan.term})  # noqa: S606


def _greet(plan: SessionPlan) -> None:
    if os.path.exists(f"{plan.account.home}/{HUSH}"):
        return
    greeting = plan.last_login.encode()
    if plan.print_motd:
        greeting += message_of_the_day()
    if greeting:
        _write(1, greeting)


def _run_rc(plan: SessionPlan, environment: dict[str, str]) -> bool:
    """sshd(8), SSHRC: the user's file if that is permitted, else the system's; whether there was
    one. Its output is the session's."""
    own = [f"{plan.account.home}/{USER_RC}"] if plan.user_rc else []
    for path in (*own, SYSTEM_RC):
        if os.path.exists(path):
            given = plan.x11.for_rc if plan.x11 is not None else b""
            with contextlib.suppress(OSError):  # a root without /bin/sh
                subprocess.run(["/bin/sh", path], env=environment, input=given, check=False)
            return True
    return False


def _tell_xauth(x11: X11Session, environment: dict[str, str]) -> None:
    try:
        enter_cookie(x11, environment)
    except OSError as error:
        _complain(f"{x11.xauth}: {error.strerror}")


def _complain(text: str) -> None:
    _write(2, text.encode("utf-8", "surrogateescape") + b"\n")


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
