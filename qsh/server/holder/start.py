"""What a monitor hands to a holder over the fork: plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers
from qsh.server.worker.x11 import X11Session


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a session is kept that outlives its connection."""

    name: str
    """By which its user attaches; empty for none: then a client that leaves ends it."""
    timeout: float | None
    """Seconds without any client until it is given up; None for never."""
    drops_output: bool
    """While nobody is attached: drop the oldest output instead of letting the program wait."""
    keeps_screen: bool = False
    """Then all but what the terminal shows is dropped, and that is drawn for whoever comes."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """From the monitor to a holder and its child: one session, as it was permitted."""

    account: Account
    peers: Peers
    arguments: list[bytes]
    """argv of the account's shell."""
    command: bytes | None
    """None for a login shell."""
    original_command: bytes | None
    """What the client asked for where a forced command runs instead."""
    is_forced: bool
    """Forced commands and subsystems take no signals (sshd does the same)."""
    has_terminal: bool
    tty: str | None
    """The terminal's device; None without one."""
    term: str
    from_client: Mapping[str, str]
    from_key: Mapping[str, str]
    from_settings: Mapping[str, str]
    environment_patterns: tuple[str, ...]
    """Names that ~/.ssh/environment may set; empty if it is not read."""
    user_rc: bool
    print_motd: bool
    last_login: str
    agent: str = ""
    """The socket that leads to the client's agent; empty for none."""
    x11: X11Session | None = None
    from_rules: Mapping[str, str] = field(default_factory=dict)
    """Variables of the account's rules (PAM)."""
    notes: str = ""
    """What those rules have to say, shown on a terminal before all else."""
    is_denied: bool = False
    """They refuse: the notes are all there is."""
    must_change_password: bool = False
    """passwd(1) runs, whatever was asked for."""
    is_subsystem: bool = False
    keeping: Keeping | None = None
    """None: the session ends with its connection."""
    runs_sftp: bool = False
    """The command is our own SFTP server with its arguments: no shell is needed."""
    root: str | None = None
    """The folder that is the session's root; None for the system's."""
    auth_info: str = ""
    """The file that tells how the user logged in; empty for none."""
