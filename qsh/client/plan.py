"""What session the user asked for: terminal or not, which command, which environment. Pure.

The rules are ssh(1)'s: -t, -tt, -T, RequestTTY, RemoteCommand, SendEnv, SetEnv, SessionType.
"""

import os
from collections.abc import Mapping

from qsh import log
from qsh.config.client_settings import ClientSettings
from qsh.config.patterns import matches_any
from qsh.errors import UsageError
from qsh.record import record
from qsh.wire.start_messages import (
    EnvRequest,
    ExecRequest,
    PtyRequest,
    ShellRequest,
    SubsystemRequest,
)

_log = log.logger("session")

Start = ShellRequest | ExecRequest | SubsystemRequest
"""What begins a session."""


@record
class LocalTerminal:
    """The facts about standard input that matter to the plan."""

    is_terminal: bool
    columns: int = 0
    rows: int = 0
    width_px: int = 0
    height_px: int = 0
    modes: bytes = b"\0"
    """Encoded as in RFC 4254 section 8."""


@record
class SessionPlan:
    """The requests of one session, in the order in which they are sent."""

    pty: PtyRequest | None
    environment: tuple[EnvRequest, ...]
    start: Start
    escape: bytes | None
    """The escape character; None where escapes are off."""
    reads_stdin: bool
    forwards_agent: bool = False
    key_interval: float = 0.0
    """Seconds from one packet of keystrokes to the next (ObscureKeystrokeTiming); 0: they leave
    when they are typed."""


def plan_session(
    settings: ClientSettings,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    terminal: LocalTerminal,
) -> SessionPlan | None:
    """The session to open; None for none (-N). Raises UsageError.

    `command` is the words of the command line.
    """
    if settings.session_type == "none":
        if command:
            raise UsageError("-N runs no command: leave the command out")
        return None
    start = _start(settings, command)
    pty = None
    if _wants_pty(settings, isinstance(start, ShellRequest), terminal.is_terminal):
        pty = _pty_request(settings, environment, terminal)
    escape = settings.escape_char.encode("latin-1") if settings.escape_char and pty else None
    variables = tuple(environment_requests(settings, environment))
    reads_stdin = not (settings.stdin_null or settings.fork_after_authentication)
    agent = settings.forward_agent is not None
    interval = settings.obscure_keystroke_timing
    return SessionPlan(pty, variables, start, escape, reads_stdin, agent, interval)


def has_forwards(settings: ClientSettings) -> bool:
    """Whether anything is to be forwarded."""
    return bool(
        settings.local_forwards or settings.remote_forwards or settings.dynamic_forwards
        or settings.forward_agent or settings.forward_x11 or settings.tunnel != "no"
    )  # fmt: skip


def _start(settings: ClientSettings, command: tuple[str, ...]) -> Start:
    given, is_subsystem = settings.remote_command, settings.session_type == "subsystem"
    if command and given:
        raise UsageError("there is a command on the command line and a RemoteCommand: "
                         "use one, or -o RemoteCommand=none")
    words = " ".join(command) or given
    if is_subsystem:
        if words is None or _encodable(words) is None:
            raise UsageError("-s needs the name of a subsystem after the host, such as sftp")
        return SubsystemRequest(words)
    if words is not None:
        return ExecRequest(os.fsencode(words))
    if settings.fork_after_authentication:
        raise UsageError("-f needs a command, or -N: a shell in the background hears nobody")
    return ShellRequest()


def _wants_pty(settings: ClientSettings, is_shell: bool, is_terminal: bool) -> bool:
    wanted = settings.request_tty
    if wanted == "force":
        return True
    if wanted == "no" or (wanted == "auto" and not is_shell):
        return False
    if is_terminal and not settings.stdin_null:
        return True
    _log.info("no pseudo-terminal is asked for, because standard input is no terminal")
    return False


def _pty_request(settings: ClientSettings, environment: Mapping[str, str],
                 terminal: LocalTerminal) -> PtyRequest:
    term = dict(settings.set_env).get("TERM", environment.get("TERM", ""))
    return PtyRequest(
        _encodable(term) or "", terminal.columns, terminal.rows,
        terminal.width_px, terminal.height_px, terminal.modes,
    )


def environment_requests(
    settings: ClientSettings, environment: Mapping[str, str]
) -> list[EnvRequest]:
    """SendEnv's variables, then SetEnv's, which win. What is no UTF-8 stays at home."""
    chosen = {name: value for name, value in environment.items()
              if settings.send_env and matches_any(settings.send_env, name)}  # fmt: skip
    chosen.update(settings.set_env)
    requests = []
    for name, value in chosen.items():
        if _encodable(name) is None or _encodable(value) is None:
            _log.debug1("not sent, since it is no UTF-8: %s", name)
            continue
        requests.append(EnvRequest(name, value))
    return requests


def _encodable(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text
