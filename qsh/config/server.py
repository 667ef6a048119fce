"""From command line and qshd_config to ServerSettings, for the server and for each connection.

One file is read, with what it includes: the one of `-f`, else /etc/qsh/qshd_config for root and
~/.config/qsh/qshd_config for others; without it the defaults hold. It is read once; Match blocks
are asked again for each connection, and override what stands before them.
"""

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from qsh import paths
from qsh.config.lines import ConfigLine
from qsh.config.reader import ConfigFile, ConfigReader, Sources
from qsh.config.server_conditions import ConnectionFacts, ServerConditions
from qsh.config.server_keywords import SERVER_KEYWORDS
from qsh.config.server_settings import ListenAddress, ServerSettings
from qsh.config.tokens import ACCOUNT_TOKENS, expand_tokens
from qsh.errors import ConfigError

HOST_KEY_TYPES = ("ed25519", "ecdsa", "rsa")
"""Of the system's host keys, in the order of preference."""
LISTS_OF_SETTINGS = ("ports", "listen_addresses")
"""Fields where the command line replaces the file instead of adding to it."""


class ServerConfig:
    """The configuration as loaded: `settings` for the server as a whole."""

    def __init__(self, file: ConfigFile | None, options: Sequence[ConfigLine]) -> None:
        self._file = file
        self._sources = Sources()
        reader = ConfigReader(SERVER_KEYWORDS, ServerConditions(), self._sources)
        reader.read_options(options)
        named = {name: reader.values[name] for name in LISTS_OF_SETTINGS if name in reader.values}
        if file is not None:
            reader.read_file(file)
        _check_commands(reader)
        self._values = {**reader.values, **named}
        self.unused = reader.unused
        """Keyword without effect → what the file gives it."""
        self.settings = _settings(self._values)

    def for_connection(self, connection: ConnectionFacts) -> ServerSettings:
        """The settings with the Match blocks that apply."""
        if self._file is None:
            return self.settings
        reader = ConfigReader(SERVER_KEYWORDS, ServerConditions(connection), self._sources)
        reader.read_file(self._file, blocks_only=True)
        if not reader.values:
            return self.settings
        return _settings({**self._values, **reader.values})


def load_server(path: str | None = None, options: Sequence[ConfigLine] = ()) -> ServerConfig:
    """Read options and file; `path` is `-f` (`none` for no file). Raises ConfigError."""
    return ServerConfig(_file(path), options)


def user_path(template: str, *, user: str, home: str, uid: int) -> str:
    """A path like `.ssh/authorized_keys` or `/etc/keys/%u` for one account: %h, %u, %U and %%;
    relative to the home folder. Raises ValueError for another token."""
    tokens = {"h": home, "u": user, "U": str(uid)}
    return os.path.join(home, expand_tokens(template, ACCOUNT_TOKENS, tokens))


def _check_commands(reader: ConfigReader) -> None:
    """A command without its user would never run: whoever wrote it must know. Raises
    ConfigError."""
    for field in ("authorized_keys_command", "authorized_principals_command"):
        if reader.values.get(field) is not None and not reader.values.get(f"{field}_user"):
            line = reader.lines[field]
            line.fail(f"{line.name} is set without {line.name}User")


def _file(path: str | None) -> ConfigFile | None:
    if path is None:
        folder = paths.SYSTEM_CONFIG if os.geteuid() == 0 else paths.user_config()
        return ConfigFile(f"{folder}/qshd_config", folder)
    if path.lower() == "none":
        return None
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100
    return ConfigFile(path, folder, required=True)


def _settings(values: dict[str, Any]) -> ServerSettings:
    values = dict(values)
    values.setdefault("ports", (22,))
    values["listen_addresses"] = _listen_addresses(values)
    values["host_keys"] = _host_keys(values.get("host_keys"))
    if values.get("engine") == "auto":
        values["engine"] = None
    if "pid_file" not in values and os.geteuid() == 0:
        values["pid_file"] = "/run/qshd.pid"
    values.setdefault("use_pam", os.geteuid() == 0 and any(map(os.path.exists, PAM_FILES)))
    subsystems = values.get("subsystems") or (("sftp", _sftp_server()),)
    values["subsystems"] = _first_of_each(subsystems)
    return ServerSettings(**{k: v for k, v in values.items() if k in _FIELDS})


_FIELDS = {field.name for field in fields(ServerSettings)}
PAM_FILES = ("/etc/pam.d/qshd", "/usr/lib/pam.d/qshd")
"""Whoever installs one of them means it: PAM is then asked unless the configuration says no."""
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server",
)  # fmt: skip
"""Where distributions put it."""


def _listen_addresses(values: dict[str, Any]) -> tuple[ListenAddress, ...]:
    """ListenAddress with the ports of Port where it names none; all addresses by default."""
    addresses = values.get("listen_addresses") or (ListenAddress("", -1),)
    return tuple(
        ListenAddress(address.host, port)
        for address in addresses
        for port in (values["ports"] if address.port < 0 else (address.port,))
    )


def _host_keys(named: tuple[str, ...] | None) -> tuple[str, ...]:
    """Those named, else the system's OpenSSH host keys that this process can read."""
    if named is None:
        system = (f"{paths.SYSTEM_SSH}/ssh_host_{kind}_key" for kind in HOST_KEY_TYPES)
        return tuple(path for path in system if os.access(path, os.R_OK))
    try:
        return tuple(paths.expand_user(path) for path in named if path.lower() != "none")
    except ValueError as error:
        raise ConfigError(f"HostKey: {error}") from None


def _sftp_server() -> str:
    """OpenSSH's program where it is installed, else our own."""
    for path in SFTP_SERVERS:
        if os.access(path, os.X_OK):
            return path
    return "internal-sftp"


def _first_of_each(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    first: dict[str, str] = {}
    for name, value in pairs:
        first.setdefault(name, value)
    return tuple(first.items())
