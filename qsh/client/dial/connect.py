"""From settings to a QUIC connection: engine, limits, dialling, and what to say if it fails."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.dial.link import link_opener, source_finder
from qsh.client.notices import show
from qsh.config.client_settings import ClientSettings
from qsh.config.key_exchange import groups_of
from qsh.errors import NetworkError, NoServerError
from qsh.net.connection import Connection
from qsh.net.dial import OpenStream, dial, literal, resolve_name
from qsh.net.endpoint import Endpoint
from qsh.net.tasks import spawn
from qsh.net.udp import DatagramLink
from qsh.paths import silence_folder
from qsh.quic.engine import EngineConfig, EngineFactory, first_control, load

if TYPE_CHECKING:
    from qsh.net.migration import Migrator

IDLE_TIMEOUT = 24 * 3600.0
"""Seconds of silence that a connection survives: a night without a network ends no session. The
server has a say too: the shorter of both counts (RFC 9000 section 10.1)."""
FAMILIES = {"any": 0, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
MOSH_PROXY = " --fake-proxy -- "
RETRY_DELAY = 1.0
"""Seconds between two of ConnectionAttempts, as ssh(1)."""

_log = log.logger("connect")


def engine_config(settings: ClientSettings) -> EngineConfig:
    """Limits of the connection. ServerAliveInterval and ServerAliveCountMax say how long silence
    is borne."""
    interval, count = settings.server_alive_interval, settings.server_alive_count_max
    control = first_control(settings.congestion_control)
    groups = groups_of(settings.kex_algorithms)
    if interval <= 0:
        return EngineConfig(
            idle_timeout=IDLE_TIMEOUT, congestion_control=control, key_exchange=groups
        )
    return EngineConfig(
        keep_alive=interval, idle_timeout=interval * max(count, 1), congestion_control=control,
        key_exchange=groups,
    )  # fmt: skip


async def connect(
    settings: ClientSettings, meanwhile: Callable[[], None], *, is_interactive: bool = True
) -> Connection:
    """A connection whose handshake is complete. `meanwhile` is called once the first flight is
    on its way; `is_interactive` chooses the class of IPQoS. Raises NetworkError, ConfigError."""
    factory = load(settings.engine)
    config = engine_config(settings)
    for attempt in range(settings.connection_attempts):
        first = meanwhile if attempt == 0 else None
        try:
            if is_proxied(settings):
                return await _connect_by_proxy(settings, factory, config, first)
            await _give_up_if_known_silent(settings)
            connection = await dial(
                settings.hostname, settings.port, factory=factory, config=config,
                family=FAMILIES[settings.address_family], bind_address=settings.bind_address,
                timeout=settings.connect_timeout,
                open_link=link_opener(settings, is_interactive=is_interactive), meanwhile=first,
                other=_search_for_sshd(settings), open_stream=_stream_opener(settings),
            )  # fmt: skip
            if _is_for_mosh(settings) and connection.remote is not None:
                show(f"MOSH IP {connection.remote[0]}")
            return connection
        except NoServerError:
            raise
        except NetworkError as error:
            if attempt + 1 == settings.connection_attempts:
                raise
            _log.info("%s; trying again", error)
            await asyncio.sleep(RETRY_DELAY)
    raise AssertionError


def _stream_opener(settings: ClientSettings) -> OpenStream | None:
    """What opens a stream to TcpPort; None where that is not wanted."""
    port = settings.tcp_port
    if port is None:
        return None

    async def open_stream(endpoint: Endpoint) -> DatagramLink:
        from qsh.net.tls_link import open_tls

        return await open_tls(endpoint, port, settings.hostname, settings.bind_address)

    return open_stream


def _search_for_sshd(
    settings: ClientSettings
) -> Callable[[], Coroutine[None, None, str]] | None:
    """What looks for ssh's server while qshd is silent; None where ssh is no way out."""
    if settings.fallback_to_ssh == "no":
        return None

    def search() -> Coroutine[None, None, str]:
        from qsh.client.dial.fallback import had_server
        from qsh.client.dial.probe import KNOWN_MARGIN, MARGIN, wait_for_sshd

        margin = KNOWN_MARGIN if had_server(settings) else MARGIN
        return wait_for_sshd(settings.hostname, settings.port, FAMILIES[settings.address_family],
                             settings.bind_address, margin)  # fmt: skip

    return search


async def _give_up_if_known_silent(settings: ClientSettings) -> None:
    """A host that was found to have no qshd a little while ago is not asked again. Raises
    NoServerError."""
    if settings.fallback_to_ssh == "no" or not os.path.exists(silence_folder()):
        return
    from qsh.client.dial.fallback import is_silent
    from qsh.client.dial.probe import source_address

    family = FAMILIES[settings.address_family]
    source = await source_address(settings.hostname, settings.port, family)
    if source and is_silent(settings, source):
        raise NoServerError(
            f"no qshd answered at {settings.hostname} a little while ago", source
        )


async def _connect_by_proxy(
    settings: ClientSettings, factory: EngineFactory, config: EngineConfig,
    meanwhile: Callable[[], None] | None,
) -> Connection:  # fmt: skip
    from qsh.client.dial.route import HERE, proxied_route

    route = await proxied_route(settings)
    try:
        connection = await dial(
            settings.hostname, settings.port, factory=factory, config=config,
            timeout=settings.connect_timeout, open_link=route.open_link, meanwhile=meanwhile,
            endpoints=route.endpoints, open_stream=route.open_stream, other=route.find_sshd,
        )  # fmt: skip
    except BaseException as error:
        route.leave()
        if isinstance(error, NetworkError) and route.leads_to_ssh():
            raise NoServerError(str(error), HERE[0]) from None
        raise
    spawn(_leave_after(connection, route.leave), "end of the way")
    return connection


async def _leave_after(connection: Connection, leave: Callable[[], None]) -> None:
    """Leave the way once the connection is over. Its last words are on the way by then: also where
    the loop ends, and this task with it, which is a turn later."""
    try:
        await connection.wait_closed()
        await asyncio.sleep(0)
    finally:
        leave()


def follow_network(
    connection: Connection, settings: ClientSettings, *, is_interactive: bool = True
) -> "Migrator":
    """Keep the connection on a path that works, until it is over or this is stopped."""
    from qsh.net.migration import Migrator

    if is_proxied(settings):
        return _stay(connection)
    migrator = Migrator(
        connection, connection.endpoints, link_opener(settings, is_interactive=is_interactive),
        settings.bind_address, find_source=source_finder(settings),
        open_stream=_stream_opener(settings), find_endpoints=partial(_addresses, settings),
    )  # fmt: skip
    migrator.start()
    return migrator


async def _addresses(settings: ClientSettings) -> list[Endpoint]:
    """Those that the name has now; none for what is an address itself. Raises NetworkError."""
    family, port = FAMILIES[settings.address_family], settings.port
    if literal(settings.hostname, port, family):
        return []
    return await resolve_name(settings.hostname, port, family)


def _stay(connection: Connection) -> "Migrator":
    """Only what keeps the way awake: whoever leads to the server watches the network."""
    from qsh.client.dial.route import no_other_link
    from qsh.net.migration import Migrator

    here = connection.paths.local[0]
    migrator = Migrator(
        connection, connection.endpoints, no_other_link, here, find_source=lambda _: here
    )
    migrator.start()
    return migrator


def is_proxied(settings: ClientSettings) -> bool:
    """Whether a command or other hosts lead to the server."""
    return bool(settings.proxy_command or settings.proxy_jump) and not _is_for_mosh(settings)


def _is_for_mosh(settings: ClientSettings) -> bool:
    """Whether the ProxyCommand is mosh(1)'s own, which connects by TCP and tells which address it
    was: we say so ourselves, and go by UDP."""
    return MOSH_PROXY in (settings.proxy_command or "")
