"""What holds for a login by one name on one connection: account, settings, rules, methods.

Asked once, with the first request, since the name decides which Match blocks apply. A name that no
account has, or none that may come in, gets terms as well, under which nothing can be proved: it
must not be told apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qsh.auth.policy import LoginPolicy
from qsh.config.server import ServerConfig
from qsh.config.server_conditions import ConnectionFacts
from qsh.config.server_settings import ServerSettings
from qsh.errors import ConfigError
from qsh.log import logger
from qsh.server import sandbox
from qsh.server.accounts import accounts, admission
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers
from qsh.server.accounts.pam import choose_service
from qsh.server.accounts.pam_rules import PamRules
from qsh.server.accounts.rules import AccountRules, Dialogue, ShadowRules, may_use_password
from qsh.server.monitor.client_name import verified_name
from qsh.server.monitor.messages import UNMARKED

_log = logger("login")

KEY, PASSWORD, QUESTIONS = "publickey", "password", "keyboard-interactive"
HOST = "hostbased"
MAX_NAME = 256
"""Characters of the names that a stranger sends, as far as they count: no account's is longer
(LOGIN_NAME_MAX), and a line of the log must have room for the address."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms. `account` is None where nobody may come in by that name; `hostname` is the
    client's verified name, or empty."""

    account: Account | None
    settings: ServerSettings
    rules: AccountRules
    policy: LoginPolicy
    hostname: str
    banner: str
    """What to show first."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks, and from where. `clock` is wall-clock time."""

    user: str
    peers: Peers
    dialogue: Dialogue
    clock: Callable[[], float]


def terms_for(applicant: Applicant, config: ServerConfig) -> Terms:
    """Look at the system's databases and at the configuration. What keeps somebody out is
    logged. May ask a name server."""
    user, address = applicant.user, applicant.peers.remote[0]
    account = accounts.find_account(user)
    hostname = verified_name(address) if config.settings.use_dns else ""
    is_known, banner = account is not None, ""
    facts = ConnectionFacts(
        user, address, *applicant.peers.local, account.group_names if account else (),
        host=hostname, is_user_known=is_known,
    )  # fmt: skip
    try:
        settings = config.for_connection(facts)
        refused = admission.refusal(
            user, account, settings, hostname, *applicant.peers.remote, applicant.clock()
        )
        if refused is not None:
            _log.info("%s", refused.line)
            account, banner = None, refused.banner
    except ConfigError as error:
        _log.error("%s: refusing the login", error)
        settings, account = config.settings, None
    rules = _open_rules(applicant, settings, account, hostname or address, is_known=is_known)
    policy = policy_for(settings)
    return Terms(account, settings, rules, policy, hostname, banner + admission.banner(settings))


def policy_for(settings: ServerSettings) -> LoginPolicy:
    """Which methods are needed, with nothing proved yet."""
    offered = offered_methods(settings)
    return LoginPolicy(
        offered, usable_lists(settings, offered), max_tries=settings.max_auth_tries
    )


def _open_rules(applicant: Applicant, settings: ServerSettings, account: Account | None,
                host: str, *, is_known: bool) -> AccountRules:
    user, may_be_empty = applicant.user, settings.permit_empty_passwords
    is_real = may_use_password(account, settings.permit_root_login)
    if not settings.use_pam:
        return ShadowRules(user, is_real, may_be_empty, applicant.clock)
    service = choose_service(settings.pam_service_name)
    return PamRules(service, user, host, is_real, may_be_empty, applicant.dialogue, is_known)


def offered_methods(settings: ServerSettings) -> tuple[str, ...]:
    """What is permitted and possible: without PAM nobody asks questions, and without root nobody
    can read a password's hash."""
    offers = {
        KEY: settings.pubkey_authentication,
        PASSWORD: settings.password_authentication
        and (settings.use_pam or sandbox.is_root()),
        QUESTIONS: settings.kbd_interactive_authentication and settings.use_pam,
        HOST: settings.hostbased_authentication,
    }
    return tuple(method for method, is_offered in offers.items() if is_offered)


def usable_lists(
    settings: ServerSettings, offered: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """AuthenticationMethods; a list that needs what is not offered can never be done, and if none
    can, nobody comes in."""
    lists = settings.authentication_methods
    if lists in ((), (("any",),)):
        return ()
    usable = tuple(
        methods for methods in lists
        if all(name.partition(":")[0] in offered for name in methods)
    )  # fmt: skip
    if not usable:
        _log.error("no list of AuthenticationMethods can be satisfied: refusing the login")
    return usable or (("none",),)


def connection_terms(settings: ServerSettings, usual: ServerSettings
                     ) -> tuple[tuple[str, ...], int, int, int, int, int]:
    """The end of a LoginVerdict: ChannelTimeout, UnusedConnectionTimeout, the ClientAlive pair if
    it is this user's own (the connection's, which is the `usual`, was set before anybody logged
    in), and IPQoS."""
    channels = tuple(f"{kind}={int(time)}" for kind, time in settings.channel_timeouts)
    alive, connections = (
        (one.client_alive_interval, one.client_alive_count_max) for one in (settings, usual)
    )
    interval, count = alive if alive != connections else (0.0, 0)
    unused = int(settings.unused_connection_timeout or 0)
    interactive, other = (UNMARKED if one is None else one for one in settings.ip_qos)
    return channels, unused, int(interval), count, interactive, other
