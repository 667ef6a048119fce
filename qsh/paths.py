"""Where things live: ~/.ssh by OpenSSH's rules, qsh's own folders by the system's.

The home folder is the account's (passwd), whatever HOME says, as in ssh(1). Imports nothing of
qsh; platformdirs is loaded only by the functions that need it, as it costs 25 ms.
"""

import os
import pwd
from contextlib import suppress

SYSTEM_CONFIG = "/etc/qsh"
"""The administrator's files of qsh: qsh_config and qshd_config."""
SYSTEM_SSH = "/etc/ssh"
"""OpenSSH's: ssh_config, ssh_known_hosts and the host keys."""


def home() -> str:
    """The account's home folder; HOME if the account is not in passwd."""
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_dir
    return os.environ.get("HOME", "/")


def expand_user(path: str) -> str:
    """`~` and `~name` at the start. Raises ValueError for a name that is no account."""
    if not path.startswith("~"):
        return path
    name, slash, rest = path[1:].partition("/")
    if not name:
        return home() + slash + rest
    try:
        return pwd.getpwnam(name).pw_dir + slash + rest
    except KeyError:
        raise ValueError(f"{path}: there is no user {name}") from None


def ssh_folder() -> str:
    """~/.ssh: keys, known_hosts, config."""
    return f"{home()}/.ssh"


def user_config() -> str:
    """~/.config/qsh (XDG_CONFIG_HOME): the user's own configuration of qsh."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return f"{base if base.startswith('/') else home() + '/.config'}/qsh"


def user_state() -> str:
    """~/.local/state/qsh (XDG_STATE_HOME): which identity worked where. Asked on every start,
    so by the XDG rule itself."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return f"{base if base.startswith('/') else home() + '/.local/state'}/qsh"


def silence_folder() -> str:
    """Which hosts have no qshd, as was found lately: asked on every start as well."""
    return f"{user_state()}/silent"


def state_folder() -> str:
    """What must outlive a restart of a server: root's or the user's."""
    return "/var/lib/qsh" if os.geteuid() == 0 else user_state()


def cache_folder() -> str:
    """What may be lost at any time."""
    if os.geteuid() == 0:
        return "/var/cache/qsh"
    from platformdirs import user_cache_dir

    return user_cache_dir("qsh", appauthor=False)


def runtime_folder() -> str:
    """Sockets and process IDs: gone after a restart of the machine."""
    if os.geteuid() == 0:
        return "/run/qsh"
    from platformdirs import user_runtime_dir

    return user_runtime_dir("qsh", appauthor=False)


def clients_folder() -> str:
    """Sockets of the user's running clients: in the folder that ends with the user's logins where
    there is one (XDG_RUNTIME_DIR)."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{base}/qsh-clients" if base.startswith("/") else f"{user_state()}/clients"


def make_private(path: str) -> str:
    """Make the folder if it is not there, for its owner only; returns it. Raises OSError, also
    (PermissionError) if it belongs to someone else."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102  (pathlib costs start-up time)
    status = os.lstat(path)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{path} could be changed by others")
    return path
