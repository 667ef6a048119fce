"""Who may forward what: one pure decision per question, for server rules and key options alike.

A forward is permitted only if every rule that speaks of it permits it: the administrator's
(AllowTcpForwarding, PermitOpen, …), and the key's (`restrict`, `permitopen=`, …). Neither can
widen the other. Semantics are sshd_config(5)'s and sshd(8)'s; UDP goes by the rules of TCP. May
not look anything up: names are compared as they are written.
"""

from enum import Enum

from qsh.record import record
from qsh.wire.forward_messages import ANY_UNIT, ETHERNET, POINT_TO_POINT

ANY = "*"
FIRST_FREE_PORT = 1024
"""Ports below are root's."""


@record
class Endpoint:
    """A host and port that a rule names; host "*" and port None stand for any."""

    host: str
    port: int | None

    def covers(self, host: str, port: int) -> bool:
        return self.host in (ANY, host) and self.port in (None, port)


@record
class ForwardRules:
    """What one source of rules says. `opens` and `listens` are None where all are permitted."""

    local: bool = True
    """-L and -D: connections that the server makes."""
    remote: bool = True
    """-R: listeners at the server."""
    unix_local: bool = True
    unix_remote: bool = True
    agent: bool = True
    x11: bool = True
    tunnel: int = POINT_TO_POINT | ETHERNET
    """Modes that are permitted, as bits."""
    tunnel_unit: int | None = None
    """The only device; None for any."""
    opens: tuple[Endpoint, ...] | None = None
    listens: tuple[Endpoint, ...] | None = None


Rules = tuple[ForwardRules, ...]


def may_connect(rules: Rules, host: str, port: int) -> bool:
    """Whether a client may have the server connect to `host`:`port`."""
    return all(
        rule.local and (rule.opens is None or any(e.covers(host, port) for e in rule.opens))
        for rule in rules
    )


def may_listen(rules: Rules, host: str, port: int, uid: int) -> bool:
    """Whether a client may have the server listen at `host`:`port` as user `uid`. Port 0 lets
    the system choose; ports below 1024 are root's."""
    if 0 < port < FIRST_FREE_PORT and uid != 0:
        return False
    return all(
        rule.remote and (rule.listens is None or any(_hears(e, host, port) for e in rule.listens))
        for rule in rules
    )


def may_connect_unix(rules: Rules) -> bool:
    """Whether a client may have the server connect to Unix sockets: to all or none, as PermitOpen
    does not speak of them."""
    return all(rule.unix_local for rule in rules)


def may_listen_unix(rules: Rules) -> bool:
    """The same for listening."""
    return all(rule.unix_remote for rule in rules)


def may_forward_agent(rules: Rules) -> bool:
    """Whether sessions may have a socket that leads to the client's agent."""
    return all(rule.agent for rule in rules)


def may_forward_x11(rules: Rules) -> bool:
    """Whether sessions may have a display that leads to the client's."""
    return all(rule.x11 for rule in rules)


def permitted_unit(rules: Rules, mode: int, unit: int) -> int | None:
    """The tunnel device that a client gets who asks for number `unit`, or ANY_UNIT; None for
    none."""
    for rule in rules:
        if mode not in (POINT_TO_POINT, ETHERNET) or not rule.tunnel & mode:
            return None
        if rule.tunnel_unit is not None:
            if unit not in (ANY_UNIT, rule.tunnel_unit):
                return None
            unit = rule.tunnel_unit
    return unit


def permits_nothing(rules: Rules) -> bool:
    """Whether no forward of any kind is permitted."""
    modes = POINT_TO_POINT | ETHERNET
    for rule in rules:
        modes &= rule.tunnel
    return not modes and not any(
        all(getattr(rule, kind) for rule in rules)
        for kind in ("local", "remote", "unix_local", "unix_remote", "agent", "x11")
    )


def _hears(endpoint: Endpoint, host: str, port: int) -> bool:
    """As `covers`, but listening addresses are compared without regard to case."""
    return Endpoint(endpoint.host.lower(), endpoint.port).covers(host.lower(), port)


class GatewayPorts(Enum):
    """Whose connections a listener takes (sshd_config(5); a client has NO and YES)."""

    NO = "no"
    YES = "yes"
    CLIENT_SPECIFIED = "clientspecified"


LOOPBACK = "localhost"
"""The loopback addresses of all families; see sockets.Sockets."""
EVERYWHERE = ""
_LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")


def server_listens_at(asked: str, gateway: GatewayPorts) -> str:
    """Where a server listens for a client that asked for `asked` (channels.c,
    `channel_fwd_bind_addr`)."""
    if gateway is GatewayPorts.YES:
        return EVERYWHERE
    if gateway is GatewayPorts.CLIENT_SPECIFIED:
        return EVERYWHERE if asked in ("", ANY) else asked
    return asked if asked in _LOOPBACK_ADDRESSES else LOOPBACK


def client_listens_at(asked: str | None, gateway: GatewayPorts) -> str:
    """Where a client listens for its user; None if the forward names no address."""
    if asked is None:
        return EVERYWHERE if gateway is GatewayPorts.YES else LOOPBACK
    return EVERYWHERE if asked in ("", ANY) else asked


def asked_of_server(host: str | None) -> str:
    """What a client asks for in tcpip-forward (RFC 4254 section 7.1)."""
    if host is None:
        return LOOPBACK
    return EVERYWHERE if host == ANY else host
