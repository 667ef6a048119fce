"""Asks the system's name servers for records that getaddrinfo(3) does not give.

What resolv.conf(5) says counts: `nameserver`, `options` timeout, attempts and trust-ad. Whether a
server has validated an answer by DNSSEC is believed only where `trust-ad` says that the way to it
is safe, as glibc has it.
"""

import asyncio
import os
import secrets
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.log import logger
from qsh.net.dns_wire import DnsAnswer, decode_answer, encode_query

RESOLV_CONF = "/etc/resolv.conf"
PORT = 53
MAX_SERVERS = 3
MAX_TCP_ANSWER = 65535

_log = logger("dns")


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """What resolv.conf and RES_OPTIONS come to. `timeout` in seconds, for one try."""

    servers: tuple[str, ...] = ("127.0.0.1",)
    timeout: float = 5.0
    attempts: int = 2
    trusts_validation: bool = False


def parse_settings(text: str, options: str = "") -> ResolverSettings:
    """From the file's text and the variable RES_OPTIONS. What cannot be read says nothing."""
    servers, words = [], []
    for line in text.splitlines():
        fields = line.split()
        if fields[:1] == ["nameserver"] and len(fields) > 1:
            servers.append(fields[1])
        elif fields[:1] == ["options"]:
            words += fields[1:]
    numbers = {"timeout": 5, "attempts": 2}
    for word in (words := words + options.split()):
        name, _, value = word.partition(":")
        if name in numbers and value.isdecimal():
            numbers[name] = min(max(int(value[:4]), 1), 30)
    return ResolverSettings(
        tuple(servers[:MAX_SERVERS]) or ("127.0.0.1",),
        float(numbers["timeout"]), min(numbers["attempts"], 5), "trust-ad" in words,
    )  # fmt: skip


def system_settings(path: str = RESOLV_CONF) -> ResolverSettings:
    """Those of this machine."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(65536)
    except OSError:
        text = ""
    return parse_settings(text, os.environ.get("RES_OPTIONS", ""))


async def look_up(
    name: str, kind: int, settings: ResolverSettings, port: int = PORT
) -> DnsAnswer | None:
    """The records of that type, or None if no server answers. `is_authentic` is what may be
    believed. Raises ValueError for what is no domain name."""
    for _ in range(settings.attempts):
        for server in settings.servers:
            try:
                async with asyncio.timeout(settings.timeout):
                    answer = await _ask(server, port, name, kind)
            except (OSError, TimeoutError, DecodeError) as error:
                _log.debug1("name server %s: %s", server, error or "no answer")
                continue
            is_authentic = answer.is_authentic and settings.trusts_validation
            return DnsAnswer(answer.code, False, is_authentic, answer.records)
    return None


async def _ask(server: str, port: int, name: str, kind: int) -> DnsAnswer:
    """Over UDP, and over TCP what does not fit. Raises OSError, DecodeError."""
    number = secrets.randbits(16)
    query = encode_query(number, name, kind)
    answer = await _ask_udp(server, port, query, number, name, kind)
    if not answer.is_truncated:
        return answer
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return decode_answer(await reader.readexactly(length), number, name, kind)
    except asyncio.IncompleteReadError:
        raise DecodeError("the answer ends too early") from None
    finally:
        writer.close()


async def _ask_udp(
    server: str, port: int, query: bytes, number: int, name: str, kind: int
) -> DnsAnswer:
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Receiver(received), remote_addr=(server, port)
    )
    try:
        transport.sendto(query)
        while True:
            data = await received.get()
            if isinstance(data, OSError):
                raise data
            try:
                return decode_answer(data, number, name, kind)
            except DecodeError:
                continue  # somebody else's, or a forgery: the true one may yet come
    finally:
        transport.close()


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: "asyncio.Queue[bytes | OSError]") -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._received.put_nowait(exc)
