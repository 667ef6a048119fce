"""The way to a server: straight by UDP, or by a command or other hosts that lead there.

Who goes by another way resolves no name and watches no route here: that is the business of
whoever is at the other end of the way.
"""

import socket
from collections.abc import Callable, Coroutine

from qsh.config.client_settings import ClientSettings
from qsh.errors import NoServerError
from qsh.net.dial import OpenLink, OpenStream
from qsh.net.endpoint import Endpoint
from qsh.net.stream_link import StreamLink
from qsh.net.udp import DatagramLink
from qsh.quic.events import Address
from qsh.record import record

NOWHERE = "192.0.2.1"
"""What the server is called where its address is not known: one that nobody has (RFC 5737)."""
HERE: Address = ("192.0.2.2", 0)


@record
class Route:
    """How to reach the server. `endpoints` stand for it, `open_link` leads there; `leave` is to
    be called where no link was opened after all."""

    endpoints: tuple[Endpoint, ...]
    open_link: OpenLink
    leave: Callable[[], None]
    open_stream: OpenStream | None = None
    """Tried beside it, where datagrams do not get through."""
    find_sshd: Callable[[], Coroutine[None, None, str]] | None = None
    """Returns when qshd has had its time and an SSH server was found at the end of the way."""
    leads_to_ssh: Callable[[], bool] = lambda: False
    """Whether an SSH server was found at its end instead of qshd."""


async def proxied_route(settings: ClientSettings) -> Route:
    """The way by ProxyJump or ProxyCommand. Raises QshError."""
    there = (NOWHERE, settings.port)
    if settings.proxy_jump:
        from qsh.client.dial.jump import Hop

        hop = Hop(settings)
        try:
            await hop.connect()
        except NoServerError as error:
            from qsh.client.dial.jump_ssh import open_through_ssh

            link = await open_through_ssh(settings, hop.settings, error, HERE, there)
            return Route((Endpoint(socket.AF_INET, there),), _once(link), link.close)
        return Route((Endpoint(socket.AF_INET, there),),
                     lambda _endpoint, _bind: hop.open_link(there), hop.leave,
                     hop.stream_opener(there),
                     None if settings.fallback_to_ssh == "no" else hop.find_sshd,
        )  # fmt: skip
    from qsh.client.dial.proxy import open_proxy

    link = await open_proxy(settings, HERE, there)
    return Route((Endpoint(socket.AF_INET, link.remote or there),),
                 _once(link), link.close,
                 leads_to_ssh=lambda: isinstance(link, StreamLink) and link.leads_to_ssh,
    )  # fmt: skip


def _once(link: DatagramLink) -> OpenLink:
    """A link that is there already; there is no second one."""
    links = [link]

    def open_link(_endpoint: Endpoint, _bind_address: str | None) -> DatagramLink:
        if not links:
            raise OSError("there is one stream only")
        return links.pop()

    return open_link


def no_other_link(_endpoint: Endpoint, _bind_address: str | None) -> DatagramLink:
    """For a connection that stays on its way. Raises OSError."""
    raise OSError(0, "the way to the server is not ours to choose")
