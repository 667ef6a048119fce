"""The monitor's word on a client that moves: may this login come from there, and if so, a socket.

QUIC follows a client to another address (RFC 9000 section 9). Whoever limits a login to addresses
means all of it, so each new one is judged as the first was; a path that is refused is dropped, and
the old one stays.
"""

import socket
from typing import Any, Protocol

from qsh.auth.patterns import PatternError, match_cidr_list, match_host_and_address
from qsh.config.server import ServerConfig
from qsh.config.server_conditions import ConnectionFacts
from qsh.errors import ConfigError
from qsh.log import add_fields, logger
from qsh.quic.events import Address
from qsh.server.accounts import accounts
from qsh.server.listener.link import ListenerLink
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.messages import ConnectTo, MayMove, MoveVerdict
from qsh.server.monitor.rules import Rule

_log = logger("monitor")


def refusal(login: Login, config: ServerConfig, local: Address, address: str) -> str:
    """Why this login may not go on from another address; empty if it may.

    `from=` is judged by address alone: a name could be anybody's choice by now. Where Match blocks
    give other settings for the new address, the login would not be the one that was judged.
    """
    account, permissions = login.account, login.permissions
    try:
        if not all(
            match_host_and_address(address, address, source) for source in permissions.sources
        ):
            return "the key's from= does not allow it"
        if not all(match_cidr_list(address, nets) for nets in permissions.source_addresses):
            return "the certificate's source-address does not allow it"
        facts = ConnectionFacts(account.name, address, *local, account.group_names)
        settings = config.for_connection(facts)
    except (ConfigError, PatternError) as error:
        return str(error)
    if settings != login.settings:
        return "Match gives other settings there"
    return accounts.list_refusal(account, settings, address)


class Moves:
    """Those of one connection's client. `login` is set once it stands."""

    def __init__(self, config: ServerConfig, local: Address, link: ListenerLink) -> None:
        self._config = config
        self._local = local
        self._link = link
        self.login: Login | None = None

    def judge(self, host: str) -> MoveVerdict:
        """Whether the login may go on from there. A refusal is logged."""
        assert self.login is not None
        why = refusal(self.login, self._config, self._local, host)
        if why:
            _log.info("user %s may not move to %s: %s", self.login.account.name, host[:64], why)
        return MoveVerdict(not why)

    def give_socket(self, request: ConnectTo) -> MoveVerdict | tuple[MoveVerdict, socket.socket]:
        """The same, and a socket connected to the address, if there is one to be had."""
        verdict = self.judge(request.host)
        sock = self._link.connect(request.host, request.port) if verdict.allowed else None
        if sock is None:
            return verdict
        assert self.login is not None
        add_fields(QSH_ADDRESS=request.host, QSH_PORT=str(request.port))
        _log.info("user %s has moved to %s port %d",
                  self.login.account.name, request.host, request.port)  # fmt: skip
        return verdict, sock


class _Monitor(Protocol):
    """As much of a monitor as the rules below need."""

    moves: Moves


def _may_move(monitor: _Monitor, request: MayMove) -> Any:
    return monitor.moves.judge(request.host)


def _connect_to(monitor: _Monitor, request: ConnectTo) -> Any:
    return monitor.moves.give_socket(request)


MOVE_RULES: dict[type, Rule] = {
    MayMove: Rule(_may_move, times=10_000, logged_in=True),
    ConnectTo: Rule(_connect_to, times=10_000, logged_in=True),
}
"""For the monitor's table."""
