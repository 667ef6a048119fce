"""Two connections over a simulated network, on every engine that is installed."""

import asyncio
import random

import pytest

from qsh.errors import ChannelOpenError, DisconnectReason, NetworkError, OpenFailure, RequestError
from qsh.net.connection import Connection
from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig
from qsh.wire.channel_messages import ExitStatus, SessionOpen
from qsh.wire.events import LoginRequested, LoginSucceeded
from qsh.wire.global_messages import HostKeysAnnounce, HostKeysProve, UnknownGlobal
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth_messages import NoneRequest
from tests.pair import SERVER_ADDRESS, run

LATENCY = 0.05
RTT = 2 * LATENCY


def test_login_and_command_take_two_round_trips(pair):
    async def serve(server):
        request = await server.next_login_event()
        assert isinstance(request, LoginRequested)
        server.login.accept()
        channel = await server.accept_channel()
        channel.accept()
        request = await channel.next_request()
        assert request.body == ExecRequest(b"true")
        channel.answer(request, True)
        await channel.write(b"early: " + await channel.read())
        channel.send_request(ExitStatus(0))
        channel.write_eof()
        channel.close()

    async def main():
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with pair() as both:
            assert loop.time() - start == pytest.approx(RTT, rel=0.05)
            serving = asyncio.ensure_future(serve(both.server))
            both.client.trust()
            both.client.login.request("user", NoneRequest())
            channel = both.client.open_channel(SessionOpen())
            granted = channel.ask(ExecRequest(b"true"))
            await channel.write(b"input")
            assert await channel.read() == b"early: input"
            assert loop.time() - start == pytest.approx(2 * RTT, rel=0.05)
            assert await granted
            await channel.opened()
            assert (await channel.next_request()).body == ExitStatus(0)
            assert await channel.next_request() is None
            assert await channel.read() == b""
            await channel.wait_closed()
            assert loop.time() - start == pytest.approx(2 * RTT, rel=0.05)
            assert isinstance(await both.client.next_login_event(), LoginSucceeded)
            await serving

    run(main())


def test_a_dead_network_ends_everything_with_one_clear_error(pair):
    async def main():
        async with pair(config=EngineConfig(idle_timeout=30)) as both:
            await both.log_in()
            ours, _ = await both.open_channel()
            waiting = [
                ours.read(),
                ours.request(ExecRequest(b"true")),
                ours.next_request(),
                both.client.request(HostKeysProve((b"key",))),
                both.client.next_login_event(),
                ours.write(bytes(16 << 20)),
            ]
            both.network.cut()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(result) for result in results} == {NetworkError}
            assert str(results[0]) == "connection to server lost: idle timeout"
            assert await both.client.accept_channel() is None
            assert not (await both.client.wait_closed()).by_application
            with pytest.raises(NetworkError):
                both.client.open_channel(SessionOpen())

    run(main())


def test_garbage_is_ignored(pair):
    noise = random.Random(7)

    async def main():
        async with pair() as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            for _ in range(300):
                junk = noise.randbytes(noise.randrange(1, 1300))
                both.server.receive_datagrams([junk], ("198.51.100.7", 9))
                both.client.receive_datagrams([junk], SERVER_ADDRESS)
            await ours.write(b"hello")
            assert await theirs.read() == b"hello"

    run(main())


def test_who_breaks_the_protocol_is_told_and_nobody_hangs(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            both.client.engine.send_stream_data(0, b"\0\0\0\0")
            both.client.wire._wake()
            ended = await both.client.wait_closed()
            assert ended.code == DisconnectReason.PROTOCOL_ERROR
            assert ended.by_application
            assert not ended.local
            assert ended.reason == "empty message"
            assert (await both.server.wait_closed()).local
            with pytest.raises(NetworkError, match="empty message"):
                await both.server.next_login_event()

    run(main())


def test_an_error_of_our_own_ends_the_connection_only(pair, capsys):
    async def main():
        async with pair() as both:
            await both.log_in()
            ours, theirs = await both.open_channel()
            theirs.handle = lambda event: 1 / 0
            await ours.write(b"x")
            with pytest.raises(NetworkError, match="internal error"):
                await ours.read()
            assert (await both.server.wait_closed()).local

    run(main())
    assert "internal error in a connection: ZeroDivisionError" in capsys.readouterr().err


def test_closing_tells_the_peer_why(pair):
    async def main():
        async with pair() as both:
            await both.server.handshaken()
            both.server.close(DisconnectReason.TOO_MANY_CONNECTIONS, "too many users")
            with pytest.raises(NetworkError, match="closed by server: too many users"):
                await both.client.next_login_event()
            assert (await both.client.wait_closed()).code == 12
            await asyncio.sleep(5)
            assert both.network.client.is_closed
            assert both.network.server.is_closed

    run(main())


def test_refused_channels_and_requests(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            channel = both.client.open_channel(SessionOpen())
            offered = await both.server.accept_channel()
            offered.refuse(OpenFailure.RESOURCE_SHORTAGE, "no more ptys")
            with pytest.raises(ChannelOpenError, match="no more ptys") as caught:
                await channel.opened()
            assert caught.value.reason == OpenFailure.RESOURCE_SHORTAGE
            await channel.wait_closed()
            ours, theirs = await both.open_channel()
            answer = ours.ask(ExecRequest(b"x"))
            theirs.answer(await theirs.next_request(), False)
            assert await answer is False

    run(main())


def test_global_requests(pair):
    async def main():
        async with pair() as both:
            await both.log_in()
            asked = asyncio.ensure_future(both.client.request(HostKeysProve((b"key",))))
            request = await both.server.next_request()
            assert request.body == HostKeysProve((b"key",))
            both.server.answer(request, b"proof")
            assert await asked == b"proof"
            asked = asyncio.ensure_future(both.client.request(UnknownGlobal("x@y", b"")))
            both.server.answer(await both.server.next_request(), None)
            with pytest.raises(RequestError, match="x@y"):
                await asked
            assert await both.server.request(HostKeysAnnounce((b"k",)), want_reply=False) == b""
            assert (await both.client.next_request()).body == HostKeysAnnounce((b"k",))

    run(main())


def test_facts(pair):
    async def main():
        async with pair() as both:
            await both.server.handshaken()
            client: Connection = both.client
            assert client.remote == SERVER_ADDRESS
            assert client.peer_certificate
            assert client.original_destination_connection_id == (
                both.server.original_destination_connection_id
            )
            exported = client.export_keying_material(b"EXPORTER-x", b"", 32)
            assert exported == both.server.export_keying_material(b"EXPORTER-x", b"", 32)
            assert client.stats.smoothed_rtt == pytest.approx(RTT, rel=0.05)
            assert client.engine_name in engines.available()

    run(main())
