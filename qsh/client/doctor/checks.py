"""What `qsh --doctor` looks at beside the connection itself: ssh, the host's key, this clock.

Each gives one Finding and raises nothing that a network can cause.
"""

import asyncio
import socket
import time
from pathlib import Path

from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.auth.known_hosts import DEFAULT_PORT, Kind, Verdict, load
from qsh.client.dial.connect import FAMILIES
from qsh.client.doctor.report import Finding, Level
from qsh.client.host.check import is_revoked
from qsh.client.host.proofs import read_proof
from qsh.client.host.texts import HostFacts
from qsh.config.client_settings import ClientSettings
from qsh.errors import HostKeyError
from qsh.net.connection import Connection
from qsh.net.endpoint import Endpoint

SSH_PATIENCE = 3.0
"""Seconds for ssh's server to connect, and again to name itself."""
MAX_BANNER = 255
"""Bytes: RFC 4253 section 4.2."""


async def check_ssh(settings: ClientSettings, endpoints: tuple[Endpoint, ...]) -> Finding:
    """Whether ssh's server listens on the TCP port of the same number."""
    port, falls_back = settings.port, settings.fallback_to_ssh != "no"
    for endpoint in endpoints:
        banner = await _banner(endpoint, settings.bind_address)
        if banner is None:
            continue
        if not banner.startswith("SSH-"):
            return Finding("ssh", Level.NOTE, f"TCP port {port} is open, but it is not ssh's")
        also = ": qsh would use it if qshd were silent" if falls_back else ""
        return Finding("ssh", Level.PASS, f"ssh's server on TCP port {port}{also} ({banner})",
                       facts=(("banner", banner),))  # fmt: skip
    return Finding("ssh", Level.NOTE, f"no ssh server on TCP port {port}")


async def _banner(endpoint: Endpoint, bind_address: str | None) -> str | None:
    """What the server calls itself; None if there is none. Says nothing to it."""
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            if bind_address is not None:
                sock.bind((bind_address, 0))
            async with asyncio.timeout(SSH_PATIENCE):
                await loop.sock_connect(sock, endpoint.sockaddr)
            try:
                async with asyncio.timeout(SSH_PATIENCE):
                    data = await loop.sock_recv(sock, MAX_BANNER)
            except (TimeoutError, OSError):
                data = b""
    except (TimeoutError, OSError):
        return None
    return data.split(b"\n")[0].rstrip(b"\r").decode("utf-8", "backslashreplace")


def check_host_key(connection: Connection, settings: ClientSettings) -> Finding:
    """Whether the host has proved to hold a key, and whose word there is for that."""
    try:
        key = read_proof(connection).key
        address = connection.remote[0] if connection.remote else settings.hostname
        port = DEFAULT_PORT if settings.host_key_alias else settings.port
        facts = HostFacts(settings.host_key_name.lower(), port, address, key,
                          settings.fingerprint_hash)  # fmt: skip
        path = settings.revoked_host_keys
        if path is not None and is_revoked(path, key):
            return _bad_key(facts, f"is revoked by {path}", "ask the host's administrator")
        return _judge_key(facts, _verdict(facts, settings), settings)
    except HostKeyError as error:
        return Finding("host-key", Level.FAILURE, str(error))


def _verdict(facts: HostFacts, settings: ClientSettings) -> Verdict:
    files = (*settings.user_known_hosts_files, *settings.global_known_hosts_files)
    authorities = settings.ca_signature_algorithms.resolve(tuple(sorted(CA_SIGNATURE_ALGORITHMS)))
    return load(files).check(
        settings.hostname, settings.port, facts.address if settings.check_host_ip else None,
        facts.key, time.time(), alias=settings.host_key_alias,
        ca_algorithms=frozenset(authorities),
    )  # fmt: skip


def _judge_key(facts: HostFacts, verdict: Verdict, settings: ClientSettings) -> Finding:
    told = (("fingerprint", facts.fingerprint), ("known", verdict.kind is Kind.KNOWN))
    shown = f"{facts.kind} {facts.fingerprint}"
    match verdict.kind:
        case Kind.KNOWN:
            text = f"host key known by {verdict.path} line {verdict.line}: {shown}"
            return Finding("host-key", Level.PASS, text, facts=told)
        case Kind.REVOKED:
            return _bad_key(facts, f"is revoked by {verdict.path} line {verdict.line}",
                            "ask the host's administrator")  # fmt: skip
        case Kind.CHANGED if not verdict.other_types:
            return _bad_key(
                facts, f"is not the one in {verdict.path} line {verdict.line}",
                "somebody may be in the middle, or the host has a new key: ask its administrator",
            )  # fmt: skip
    problem = f" ({verdict.certificate_problem})" if verdict.certificate_problem else ""
    kept = f"; known are only: {', '.join(verdict.other_types)}" if verdict.other_types else ""
    strict = settings.strict_host_key_checking == "yes"
    return Finding(
        "host-key", Level.FAILURE if strict else Level.WARNING,
        f"host key not known yet: {shown}{problem}{kept}",
        "StrictHostKeyChecking is yes: add it to known_hosts" if strict
        else "compare the fingerprint with the host's before you say yes to it", told,
    )  # fmt: skip


def _bad_key(facts: HostFacts, what: str, hint: str) -> Finding:
    text = f"the host key {facts.kind} {facts.fingerprint} {what}"
    told = (("fingerprint", facts.fingerprint), ("known", False))
    return Finding("host-key", Level.FAILURE, text, hint, told)


def check_clock() -> Finding:
    """Whether this machine's clock can be right. qsh itself needs none, certificates do; the
    server's cannot be asked."""
    now, installed = time.time(), Path(__file__).stat().st_mtime
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < installed:
        return Finding(
            "clock", Level.WARNING, f"this clock is behind: {shown}, before qsh was installed",
            "set it: certificates of users and hosts have dates", (("time", now),),
        )  # fmt: skip
    return Finding("clock", Level.PASS, f"this clock says {shown}", facts=(("time", now),))


def families(settings: ClientSettings) -> int:
    """AddressFamily as the resolver wants it."""
    return FAMILIES[settings.address_family]
