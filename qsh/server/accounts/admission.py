"""Before any proof: is there such an account, and is it one that may come in at all?"""

from dataclasses import dataclass

from qsh.config.server_settings import ServerSettings
from qsh.server import sandbox
from qsh.server.accounts import accounts, shadow
from qsh.server.accounts.accounts import Account

MAX_BANNER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nobody comes in by this name, whatever is proved."""

    line: str
    """For the log, in sshd's words."""
    banner: str = ""
    """For the user."""


def refusal(
    user: str, account: Account | None, settings: ServerSettings, hostname: str, address: str,
    port: int, now: float,
) -> Refusal | None:  # fmt: skip
    """By the system's databases and the configuration. With PAM its account stack looks at
    expiry, locks and nologin instead, as with sshd. `hostname` is the client's verified name, or
    empty; `now` is wall-clock time."""
    text = None if settings.use_pam else accounts.nologin_text(account)
    line = _unfit(user, account, settings, hostname, address, port, now)
    if text is not None:
        line = line or f"User {user} not allowed because {accounts.NOLOGIN} exists"
    # Whoever is refused reads nologin's text: it must not tell who has an account.
    return Refusal(line, text or "") if line else None


def _unfit(
    user: str, account: Account | None, settings: ServerSettings, hostname: str, address: str,
    port: int, now: float,
) -> str:  # fmt: skip
    """Why not, for the log; empty if nothing is wrong with the account."""
    if account is None:
        return f"Invalid user {user} from {address} port {port}"
    if not sandbox.is_root() and account.uid != accounts.own_account().uid:
        own = accounts.own_account().name
        return f"User {user} not allowed because qshd runs as {own}, not as root"
    entry = None if settings.use_pam else shadow.read_entry(user)
    line = accounts.account_refusal(account, entry, now)
    return line or accounts.list_refusal(account, settings, address, hostname)


def banner(settings: ServerSettings) -> str:
    """The text of Banner; empty without one."""
    path = settings.banner
    if path is None or path.lower() == "none":
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read(MAX_BANNER)
    except OSError:
        return ""
