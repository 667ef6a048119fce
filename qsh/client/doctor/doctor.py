"""`qsh --doctor HOST`: what of the way to a server works, before any login.

Looks at every address by a handshake of its own, and at the rest by the first connection that
stands. Everything has its time and runs beside the other; what is told keeps its order. The server
counts these connections as ones without a login, as it does for whoever gives up at a prompt.
"""

import asyncio
import os

from qsh.client.dial.connect import engine_config, is_proxied
from qsh.client.dial.link import link_opener
from qsh.client.doctor.checks import check_clock, check_host_key, check_ssh, families
from qsh.client.doctor.path import (
    MOVE_PATIENCE,
    SIZE_PATIENCE,
    check_datagrams,
    check_move,
    check_size,
)
from qsh.client.doctor.report import Finding, Level, Report, for_terminal
from qsh.config.client_settings import ClientSettings
from qsh.errors import NetworkError
from qsh.net.connection import Connection
from qsh.net.dial import OpenLink, dial, literal, resolve_name
from qsh.net.endpoint import Endpoint
from qsh.net.tasks import cancel, spawn
from qsh.net.tls_link import open_tls
from qsh.net.udp import DatagramLink
from qsh.quic.engine import chosen, load

NAME_PATIENCE = 5.0
HANDSHAKE_PATIENCE = 5.0
"""Seconds, unless ConnectTimeout says otherwise."""
MAX_ADDRESSES = 8
BLOCKED = ("UDP is blocked on the way, or no qshd listens: open the port for UDP in the firewalls "
           "(ufw allow qshd), or set TcpPort at both ends")
REFUSED = "start qshd there (systemctl start qshd), or check Port"


def run(settings: ClientSettings, *, as_json: bool) -> int:
    """Look at everything; 0 if a login can be tried, 1 if something stands in its way."""
    report = for_terminal(settings.original_host, settings.port, as_json=as_json)
    try:
        asyncio.run(Doctor(settings, report).run())
    finally:
        report.finish()
    return 0 if report.is_good else 1


class Doctor:
    """One examination. What it finds goes to the report."""

    def __init__(self, settings: ClientSettings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._patience = settings.connect_timeout or HANDSHAKE_PATIENCE
        self._config = engine_config(settings)
        self._factory = load(settings.engine)

    async def run(self) -> None:
        """All of it, in bounded time."""
        if is_proxied(self._settings):
            await self._by_proxy()
        else:
            endpoints = await self._find()
            if endpoints:
                await self._examine(endpoints)
        self._report.add(check_clock())

    async def _find(self) -> tuple[Endpoint, ...]:
        """The host's addresses."""
        settings, host = self._settings, self._settings.hostname
        family = families(settings)
        self._report.waits(f"looking for the address of {host}")
        try:
            async with asyncio.timeout(NAME_PATIENCE):
                found = literal(host, settings.port, family)
                found = found or await resolve_name(host, settings.port, family)
        except TimeoutError:
            why = f"no name server says within {NAME_PATIENCE:g} s where {host} is"
            self._report.add(Finding("name", Level.FAILURE, why, "check the network's name server"))
            return ()
        except NetworkError as error:
            self._report.add(Finding("name", Level.FAILURE, str(error), "check the host's name"))
            return ()
        addresses = [str(endpoint) for endpoint in found]
        text = f"{host} is {', '.join(addresses)}"
        self._report.add(Finding("name", Level.PASS, text, facts=(("addresses", addresses),)))
        return tuple(found[:MAX_ADDRESSES])

    async def _examine(self, endpoints: tuple[Endpoint, ...]) -> None:
        attempts = [spawn(self._attempt(one), f"UDP to {one}") for one in endpoints]
        stream = spawn(self._attempt_stream(endpoints), "TcpPort")
        ssh = spawn(check_ssh(self._settings, endpoints), "ssh")
        try:
            self._report.waits(f"connecting by UDP (at most {self._patience:g} s)")
            results = await asyncio.gather(*attempts)
            standing = [(e, c) for e, (c, _) in zip(endpoints, results, strict=True) if c]
            self._report.waits("connecting by TCP")
            by_stream, said = await stream
            for _, finding in results:
                self._report.add(self._weighed(finding, bool(standing), by_stream is not None))
            for endpoint, connection in standing[:1]:
                await self._examine_path(endpoint, connection)
            self._report.add(said)
            first = standing[0][1] if standing else by_stream
            if first is not None:
                self._report.add(check_host_key(first, self._settings))
            self._report.waits("looking for ssh's server")
            self._report.add(await ssh)
            for other in (by_stream, *(c for _, c in standing)):
                if other is not None:
                    other.close()
        finally:
            await cancel(*(task for task in (*attempts, stream, ssh) if not task.done()))

    def _weighed(self, finding: Finding, has_udp: bool, has_stream: bool) -> Finding:
        """An address that fails is no failure while there is another way."""
        if finding.level is not Level.FAILURE or not (has_udp or has_stream):
            return finding
        return Finding(finding.name, Level.WARNING, finding.text, finding.hint, finding.facts)

    # ------------------------------------------------------------ one connection each

    async def _attempt(self, endpoint: Endpoint) -> tuple[Connection | None, Finding]:
        """A handshake with one address."""
        settings, loop = self._settings, asyncio.get_running_loop()
        facts = (("address", str(endpoint)), ("engine", chosen(settings.engine)))
        begin = loop.time()
        try:
            connection = await dial(
                settings.hostname, settings.port, factory=self._factory, config=self._config,
                bind_address=settings.bind_address, timeout=self._patience, endpoints=[endpoint],
                open_link=link_opener(settings, is_interactive=True),
            )  # fmt: skip
        except NetworkError as error:
            hint = REFUSED if "refused" in str(error) else BLOCKED
            return None, Finding("udp", Level.FAILURE, f"{endpoint}: {error}", hint, facts)
        took = loop.time() - begin
        text = (f"{endpoint} answers by UDP: handshake in {1e3 * took:.0f} ms, by "
                f"{connection.engine_name}{_group(connection)}")  # fmt: skip
        return connection, Finding("udp", Level.PASS, text, facts=(*facts, ("seconds", took)))

    async def _attempt_stream(
        self, endpoints: tuple[Endpoint, ...]
    ) -> tuple[Connection | None, Finding]:
        """The same by TLS on TcpPort."""
        settings, port = self._settings, self._settings.tcp_port
        if port is None:
            text = "TcpPort is not set: there is no way by TCP where UDP is blocked"
            return None, Finding("tcp", Level.NOTE, text)
        why = ""
        for endpoint in endpoints:
            try:
                async with asyncio.timeout(self._patience):
                    link = await open_tls(endpoint, port, settings.hostname, settings.bind_address)
                connection = await dial(
                    settings.hostname, settings.port, factory=self._factory, config=self._config,
                    timeout=self._patience, endpoints=[endpoint],
                    open_link=_only(link),
                )  # fmt: skip
            except TimeoutError:
                why = f"no answer within {self._patience:g} s"
            except (OSError, NetworkError) as error:
                why = _reason(error)
            else:
                text = f"{endpoint} answers by TLS on TCP port {port}, too"
                return connection, Finding("tcp", Level.PASS, text)
        hint = ("only where UDP is blocked it is needed: TcpPort in the server's qshd_config, and "
                "an open port in the firewalls")  # fmt: skip
        return None, Finding("tcp", Level.NOTE, f"no qshd on TCP port {port}: {why}", hint)

    async def _by_proxy(self) -> None:
        """Where others lead to the host, their way is not ours to look at."""
        from qsh.client.dial.connect import connect

        text = "by way of ProxyJump or ProxyCommand: addresses and paths are that way's business"
        self._report.add(Finding("proxy", Level.NOTE, text))
        self._report.waits("connecting by that way")
        try:
            connection = await connect(self._settings, lambda: None)
        except NetworkError as error:
            self._report.add(Finding("udp", Level.FAILURE, str(error), "look at that way first"))
            return
        text = f"handshake by {connection.engine_name}{_group(connection)}"
        self._report.add(Finding("udp", Level.PASS, text))
        self._report.add(await check_datagrams(connection))
        self._report.add(check_host_key(connection, self._settings))
        connection.close()

    # ------------------------------------------------------------ the path

    async def _examine_path(self, endpoint: Endpoint, connection: Connection) -> None:
        self._report.waits(f"measuring the path (at most {SIZE_PATIENCE:g} s)")
        self._report.add(await check_size(endpoint, connection))
        self._report.add(await check_datagrams(connection))
        self._report.waits(f"moving to another port (at most {MOVE_PATIENCE:g} s)")
        self._report.add(await check_move(endpoint, connection, self._settings))


def _group(connection: Connection) -> str:
    return f" with {connection.key_exchange}" if connection.key_exchange else ""


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)


def _only(link: DatagramLink) -> OpenLink:
    return lambda _endpoint, _bind_address: link
