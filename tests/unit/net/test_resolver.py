"""resolv.conf, and questions to a server on this machine."""

import asyncio
import socket

import pytest

from qsh.net.dns_wire import SSHFP
from qsh.net.resolver import ResolverSettings, look_up, parse_settings, system_settings
from tests.unit.net.test_dns_wire import answer


@pytest.mark.parametrize(
    ("text", "options", "settings"),
    [
        ("", "", ResolverSettings()),
        ("nameserver 192.0.2.1\n# nameserver x\nnameserver ::1\noptions trust-ad timeout:1\n", "",
         ResolverSettings(("192.0.2.1", "::1"), 1.0, 2, True)),
        ("options ndots:2", "attempts:3 trust-ad", ResolverSettings(attempts=3,
                                                                    trusts_validation=True)),
        ("options timeout:0 attempts:99999999999", "", ResolverSettings(timeout=1.0, attempts=5)),
        ("nameserver\noptions timeout:x\n\x00", "", ResolverSettings()),
        ("nameserver a\n" * 9, "", ResolverSettings(("a", "a", "a"))),
    ],
)  # fmt: skip
def test_settings(text, options, settings):
    assert parse_settings(text, options) == settings


def test_a_machine_without_the_file(tmp_path):
    assert system_settings(str(tmp_path / "none")).servers == ("127.0.0.1",)


def asked(replies, **settings):
    """Ask a server that gives these replies to one question: a function of the question's number,
    each over UDP; the last over TCP if the one before was cut off."""

    async def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            port = sock.getsockname()[1]

            async def over_udp():
                data, client = await loop.sock_recvfrom(sock, 600)
                for reply in replies:
                    await loop.sock_sendto(sock, reply(int.from_bytes(data[:2], "big")), client)

            async def over_tcp(reader, writer):
                size = int.from_bytes(await reader.readexactly(2), "big")
                number = int.from_bytes((await reader.readexactly(size))[:2], "big")
                reply = answer((SSHFP, 1, b"by tcp"), number=number)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                writer.close()

            server = await asyncio.start_server(over_tcp, "127.0.0.1", port)
            task = asyncio.ensure_future(over_udp())
            try:
                return await look_up(
                    "host.example.org", SSHFP,
                    ResolverSettings(attempts=1, timeout=0.5, **settings), port,
                )  # fmt: skip
            finally:
                task.cancel()
                server.close()

    return asyncio.run(run())


def test_an_answer_counts_and_a_forgery_does_not():
    seen = asked([
        lambda number: answer((SSHFP, 1, b"forged"), number=number ^ 1),
        lambda number: answer((SSHFP, 1, b"true"), number=number),
    ])
    assert seen.records == (b"true",)
    assert not seen.is_authentic


def test_validation_counts_only_from_a_server_that_is_trusted():
    assert asked([lambda n: answer(number=n)], trusts_validation=True).is_authentic
    unsure = asked([lambda n: answer(number=n, flags=0x8180)], trusts_validation=True)
    assert not unsure.is_authentic


def test_what_does_not_fit_comes_by_tcp():
    assert asked([lambda n: answer(number=n, flags=0x8380)]).records == (b"by tcp",)


def test_nobody_answers():
    assert asked([]) is None
