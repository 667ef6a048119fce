"""What one login may forward: the administrator's settings and the key's options as rules.

Pure. sshd_config(5) AllowTcpForwarding and its kin, sshd(8) AUTHORIZED_KEYS FILE FORMAT; each
speaks for itself, and a forward needs the consent of both (forward.permissions).
"""

from qsh.auth.authorized_keys import Permissions
from qsh.config.server_settings import ServerSettings
from qsh.forward.permissions import Endpoint, ForwardRules, GatewayPorts, Rules
from qsh.record import record
from qsh.server.accounts.accounts import Account
from qsh.wire.forward_messages import ETHERNET, POINT_TO_POINT

TUNNELS = {"no": 0, "point-to-point": POINT_TO_POINT, "ethernet": ETHERNET,
           "yes": POINT_TO_POINT | ETHERNET}  # fmt: skip
"""PermitTunnel as bits of modes."""


@record
class OpenerPlan:
    """From the monitor to an opener: whose sockets it makes, and which."""

    account: Account
    rules: Rules
    gateway: GatewayPorts
    mask: int
    unlink: bool
    x11_offset: int = 10
    x11_everywhere: bool = False
    """X11UseLocalhost is no."""
    xauth: str = ""


def plan_opener(account: Account, settings: ServerSettings, permissions: Permissions) -> OpenerPlan:
    """What the opener of this login is to know."""
    return OpenerPlan(
        account,
        (rules_of_settings(settings), rules_of_key(permissions)),
        GatewayPorts(settings.gateway_ports),
        settings.stream_local_bind_mask,
        settings.stream_local_bind_unlink,
        settings.x11_display_offset,
        not settings.x11_use_localhost,
        settings.x_auth_location,
    )


def rules_of_settings(settings: ServerSettings) -> ForwardRules:
    """The administrator's rules."""
    is_on = not settings.disable_forwarding
    tcp, unix = settings.allow_tcp_forwarding, settings.allow_stream_local_forwarding
    return ForwardRules(
        local=is_on and tcp in ("yes", "local"),
        remote=is_on and tcp in ("yes", "remote"),
        unix_local=is_on and unix in ("yes", "local"),
        unix_remote=is_on and unix in ("yes", "remote"),
        agent=is_on and settings.allow_agent_forwarding,
        x11=is_on and settings.x11_forwarding,
        tunnel=TUNNELS[settings.permit_tunnel] if is_on else 0,
        opens=_endpoints(settings.permit_open),
        listens=_endpoints(settings.permit_listen),
    )


def rules_of_key(permissions: Permissions) -> ForwardRules:
    """The rules of the line in authorized_keys, or of the certificate."""
    ports = permissions.port_forwarding
    return ForwardRules(
        local=ports, remote=ports, unix_local=ports, unix_remote=ports,
        agent=permissions.agent_forwarding,
        x11=permissions.x11_forwarding,
        tunnel=TUNNELS["yes" if ports else "no"],
        tunnel_unit=_unit(permissions.tunnel),
        opens=_endpoints(permissions.permitopen),
        listens=_endpoints(permissions.permitlisten),
    )  # fmt: skip


def _unit(option: int | None) -> int | None:
    """Of `tunnel=`; -1 stands for any."""
    return None if option in (None, -1) else option


def _endpoints(permits: tuple[tuple[str, int], ...] | None) -> tuple[Endpoint, ...] | None:
    """Port 0 stands for any."""
    if permits is None:
        return None
    return tuple(Endpoint(host, port or None) for host, port in permits)
