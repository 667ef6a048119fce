"""What a session's child sees: argument vector, environment, texts before the first prompt.

The order in which variables override each other is that of sshd's do_setup_env. Pure, but for
reading the user's own files, which is done with the user's rights.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qsh.auth.patterns import match_pattern
from qsh.quic.events import Address
from qsh.server.accounts.accounts import Account

STANDARD_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
SUPERUSER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAIL_FOLDER = "/var/mail"
MOTD = "/etc/motd"
MAX_VARIABLES = 256
"""Variables from the client on one session; sshd's limit is 128."""
MAX_ENVIRONMENT_FILE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Peers:
    """Both ends of the connection, for SSH_CONNECTION and SSH_CLIENT."""

    remote: Address
    local: Address


def child_arguments(shell: str, command: bytes | None) -> list[bytes]:
    """argv: a login shell, or the shell with `-c command`."""
    name = shell.rsplit("/", 1)[-1].encode("utf-8", "surrogateescape")
    return [b"-" + name] if command is None else [name, b"-c", command]


def accepted_from_client(
    variables: Iterable[tuple[str, str]], accept_env: tuple[str, ...]
) -> dict[str, str]:
    """The client's variables that AcceptEnv lets in."""
    return {
        name: value
        for name, value in variables
        if is_variable(name, value) and any(match_pattern(name, item) for item in accept_env)
    }


def is_variable(name: str, value: str) -> bool:
    """Whether execve(2) can carry it."""
    return bool(name) and "=" not in name and "\0" not in name + value


def child_environment(
    account: Account,
    peers: Peers,
    *,
    from_client: Mapping[str, str],
    from_key: Mapping[str, str],
    from_file: Mapping[str, str],
    from_rules: Mapping[str, str],
    from_settings: Mapping[str, str],
    from_daemon: Mapping[str, str],
    tty: str | None = None,
    term: str = "",
    original_command: bytes | None = None,
) -> dict[str, str]:
    """The child's environment. `from_key`: `environment=` of authorized_keys, `from_file`:
    ~/.ssh/environment, `from_rules`: PAM's, `from_settings`: SetEnv, `from_daemon`: qshd's own
    environment."""
    result = dict(from_client)
    result |= {
        "USER": account.name,
        "LOGNAME": account.name,
        "HOME": account.home,
        "PATH": STANDARD_PATH if account.uid else SUPERUSER_PATH,
        "MAIL": f"{MAIL_FOLDER}/{account.name}",
        "SHELL": account.shell,
    }
    if "TZ" in from_daemon:
        result["TZ"] = from_daemon["TZ"]
    result |= from_key
    result |= from_file
    result |= from_rules
    result |= from_settings
    result |= _about_connection(peers)
    if tty is not None:
        result["SSH_TTY"] = tty
    if term:
        result["TERM"] = term
    if original_command is not None:
        result["SSH_ORIGINAL_COMMAND"] = original_command.decode("utf-8", "surrogateescape")
    return result


def _about_connection(peers: Peers) -> dict[str, str]:
    (remote, remote_port), (local, local_port) = peers.remote, peers.local
    return {
        "SSH_CLIENT": f"{remote} {remote_port} {local_port}",
        "SSH_CONNECTION": f"{remote} {remote_port} {local} {local_port}",
    }


def parse_environment_file(text: str, allowed: Iterable[str] = ("*",)) -> dict[str, str]:
    """~/.ssh/environment of sshd(8): NAME=value per line, `#` comments; lines that are neither
    are skipped. `allowed` are PermitUserEnvironment's patterns."""
    patterns = tuple(allowed)
    result = {}
    for line in text.split("\n"):
        entry = line.lstrip(" \t")
        name, equals, value = entry.partition("=")
        if entry.startswith("#") or not equals or not is_variable(name, value):
            continue
        if any(match_pattern(name, pattern) for pattern in patterns):
            result[name] = value
    return result


def read_environment_file(home: str, allowed: Iterable[str]) -> dict[str, str]:
    """The variables of ~/.ssh/environment; none if it cannot be read."""
    try:
        path = f"{home}/.ssh/environment"
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse_environment_file(file.read(MAX_ENVIRONMENT_FILE), allowed)
    except OSError:
        return {}


def message_of_the_day(path: str = MOTD) -> bytes:
    """The text of motd(5); empty if there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(64 * 1024)
    except OSError:
        return b""
