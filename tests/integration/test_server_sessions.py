"""Channels and requests as the server sees them: RFC 4254 sections 5 and 6, the reply rules."""

import asyncio
import hashlib
import os
import signal

import pytest

from qsh.errors import ChannelOpenError, NetworkError, OpenFailure
from qsh.wire.channel_messages import (
    BreakRequest,
    SignalRequest,
    UnknownOpen,
    UnknownRequest,
    WindowChange,
)
from qsh.wire.global_messages import UnknownGlobal
from qsh.wire.start_messages import (
    EnvRequest,
    ExecRequest,
    PtyRequest,
    ShellRequest,
    SubsystemRequest,
)
from tests.integration.harness import public
from tests.integration.raw_client import (
    IDLE,
    connected,
    exit_of,
    finish,
    named,
    processes_of,
    read_all,
    wait_for,
    wait_until,
)

PTY = PtyRequest("xterm", 80, 24, 0, 0, b"\0")


@pytest.fixture
def talk(daemon, new_client):
    """Run a coroutine function with a client that is logged in."""
    key = new_client(daemon).key

    def run(scenario, **options):
        async def whole():
            async with connected(daemon, key, **options) as client:
                return await asyncio.wait_for(scenario(client), 60)

        return asyncio.run(whole())

    return run


def test_status_and_streams(talk):
    async def scenario(client):
        return await client.run(b"echo out; echo err >&2; exit 7")

    assert talk(scenario) == (b"out\n", b"err\n", 7)


def test_signal(talk):
    async def scenario(client):
        return await client.run(b"kill -TERM $$")

    assert talk(scenario) == (b"", b"", "TERM")


def test_unknown_things_are_refused_and_the_connection_goes_on(talk):
    async def scenario(client):
        for kind, reason in (
            ("nonsense@example.org", OpenFailure.UNKNOWN_CHANNEL_TYPE),
        ):
            body = UnknownOpen(kind, b"\0\0\0\x09localhost\0\0\0\x16\0\0\0\0\0\0\0\0")
            with pytest.raises(ChannelOpenError) as refused:
                await client.connection.open_channel(body).opened()
            assert refused.value.reason == reason
        with pytest.raises(Exception, match="refuses"):
            await client.connection.request(UnknownGlobal("nonsense@example.org", b"x"))
        channel = await client.session()
        assert not await channel.request(UnknownRequest("nonsense@example.org", b"x"))
        assert not await channel.request(SubsystemRequest("no-such"))
        assert await channel.request(ExecRequest(b"echo fine"))
        return await finish(channel)

    assert talk(scenario) == (b"fine\n", b"", 0)


def test_what_needs_a_session_or_a_terminal_is_refused_without(talk):
    async def scenario(client):
        channel = await client.session()
        assert not await channel.request(SignalRequest("TERM"))
        assert not await channel.request(BreakRequest(100))
        assert not await channel.request(WindowChange(1, 2, 3, 4))
        assert await channel.request(ExecRequest(b"cat"))
        assert not await channel.request(ExecRequest(b"echo second"))
        assert not await channel.request(ShellRequest())
        assert not await channel.request(PTY)
        assert not await channel.request(SignalRequest("NONSENSE"))
        return await finish(channel)

    assert talk(scenario) == (b"", b"", 0)


def test_terminal(talk):
    async def scenario(client):
        channel = await client.session()
        assert await channel.request(PTY)
        assert not await channel.request(PTY)
        assert await channel.request(WindowChange(132, 50, 0, 0))
        assert await channel.request(ExecRequest(b"stty size; tty; echo $TERM $SSH_TTY; cat"))
        seen = b""
        while b"xterm" not in seen:
            seen += await channel.read()
        assert await channel.request(BreakRequest(10))
        await channel.write(b"\x04")
        return seen + await read_all(channel), await exit_of(channel)

    seen, status = talk(scenario)
    lines = seen.split()
    assert lines[:2] == [b"50", b"132"]
    assert lines[2] == lines[4]
    assert lines[2].startswith(b"/dev/pts/")
    assert status == 0


def test_signal_request(talk):
    async def scenario(client):
        channel = await client.session()
        command = b"trap 'exit 9' USR1; echo ready; while :; do sleep .1; done"
        await channel.request(ExecRequest(command))
        assert await channel.read() == b"ready\n"
        assert await channel.request(SignalRequest("USR1"))
        return await exit_of(channel)

    assert talk(scenario) == 9


def test_variables(own_daemon, new_client):
    daemon = own_daemon("AcceptEnv LC_* QSH_?")
    key = new_client(daemon).key

    async def scenario():
        async with connected(daemon, key) as client:
            channel = await client.session()
            assert await channel.request(EnvRequest("LC_TEST", "a b"))
            assert await channel.request(EnvRequest("QSH_X", ""))
            assert not await channel.request(EnvRequest("LD_PRELOAD", "/x"))
            await channel.request(ExecRequest(b'echo "$LC_TEST,${QSH_X-unset},$LD_PRELOAD"'))
            return await finish(channel)

    assert asyncio.run(scenario())[0] == b"a b,,\n"


def test_subsystem(own_daemon, new_client):
    daemon = own_daemon("Subsystem shout tr a-z A-Z")
    key = new_client(daemon).key

    async def scenario():
        async with connected(daemon, key) as client:
            channel = await client.session()
            assert await channel.request(SubsystemRequest("shout"))
            await channel.write(b"hello")
            return await finish(channel)

    assert asyncio.run(scenario()) == (b"HELLO", b"", 0)


def test_max_sessions(own_daemon, new_client):
    daemon = own_daemon("MaxSessions 2")
    key = new_client(daemon).key

    async def scenario():
        async with connected(daemon, key) as client:
            first = await client.session()
            await client.session()
            with pytest.raises(ChannelOpenError) as refused:
                await client.session()
            assert refused.value.reason == OpenFailure.RESOURCE_SHORTAGE
            first.close()
            await first.wait_closed()
            await asyncio.sleep(0.3)
            return await client.run(b"echo again")

    assert asyncio.run(scenario())[0] == b"again\n"


def test_many_sessions_at_once(talk):
    async def scenario(client):
        return await asyncio.gather(*(client.run(b"echo %d" % n) for n in range(8)))

    assert [out for out, _, _ in talk(scenario)] == [b"%d\n" % n for n in range(8)]


def test_bytes_are_exact_both_ways(talk):
    data = os.urandom(5_000_000)

    async def scenario(client):
        channel = await client.session()
        await channel.request(ExecRequest(b"cat"))
        reading = asyncio.create_task(read_all(channel))
        await channel.write(data)
        channel.write_eof()
        return hashlib.sha256(await reading).digest(), await exit_of(channel)

    assert talk(scenario) == (hashlib.sha256(data).digest(), 0)


def test_a_reader_that_stops_costs_bounded_memory(talk, daemon):
    """The child blocks; neither worker nor holder gathers what nobody reads."""

    async def scenario(client):
        channel = await client.session()
        await channel.request(ExecRequest(b"head -c 200000000 /dev/zero; echo done >&2"))
        await channel.read(limit=1)
        await asyncio.sleep(1.5)
        (worker,) = named(daemon, "qshd-worker")
        (holder,) = named(daemon, "qsh-holder")
        return resident(worker), resident(holder)

    worker, holder = talk(scenario)
    assert worker < 160
    assert holder < 120


def resident(pid):
    """Megabytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def test_a_child_that_does_not_read_stops_the_writer(talk):
    async def scenario(client):
        channel = await client.session()
        await channel.request(ExecRequest(b"sleep 1; wc -c"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.write(bytes(50_000_000)), 0.7)
        return await finish(channel)

    out, _, status = talk(scenario)
    assert 0 < int(out) < 20_000_000
    assert status == 0


def test_output_in_the_background_keeps_the_channel(talk):
    async def scenario(client):
        return await client.run(b"(sleep 0.5; echo late) & exit 3")

    assert talk(scenario) == (b"late\n", b"", 3)


def test_a_client_that_closes_the_channel_hangs_up_the_child(talk, daemon):
    async def scenario(client):
        channel = await client.session()
        await channel.request(ExecRequest(b"echo $$; exec sleep 300"))
        child = int(await channel.read())
        channel.close()
        gone = await wait_for(lambda: not os.path.exists(f"/proc/{child}"))
        return gone, await client.run(b"echo alive")

    assert talk(scenario) == (True, (b"alive\n", b"", 0))


def test_nothing_is_left_behind(talk, daemon):
    async def scenario(client):
        channels = []
        for command in (b"exec sleep 300", b"cat", b"yes"):
            channel = await client.session()
            await channel.request(ExecRequest(command))
            channels.append(channel)
        terminal = await client.session()
        await terminal.request(PTY)
        await terminal.request(ShellRequest())
        await terminal.read()
        assert len(named(daemon, "qsh-holder")) == 4

    talk(scenario)
    assert wait_until(lambda: set(processes_of(daemon).values()) <= IDLE), processes_of(daemon)


def test_a_vanished_session_channel_is_told(talk, daemon):
    """kill -9 of a holder: its channel ends without a status, the others go on."""

    async def scenario(client):
        channel = await client.session()
        await channel.request(ExecRequest(b"echo ready; exec sleep 300"))
        await channel.read()
        (holder,) = named(daemon, "qsh-holder")
        os.kill(holder, signal.SIGKILL)
        try:
            ended = await asyncio.wait_for(exit_of(channel), 10)
        except NetworkError:
            ended = None
        return ended, await client.run(b"echo fine")

    assert talk(scenario) == (None, (b"fine\n", b"", 0))


def test_login_environment(talk, daemon):
    async def scenario(client):
        return (await client.run(b"env"))[0]

    lines = dict(line.split("=", 1) for line in talk(scenario).decode().splitlines() if "=" in line)
    address, port, local, local_port = lines["SSH_CONNECTION"].split()
    assert (address, local, int(local_port)) == ("127.0.0.1", "127.0.0.1", daemon.port)
    assert lines["SSH_CLIENT"] == f"{address} {port} {local_port}"
    assert "SSH_TTY" not in lines


def test_key_options(daemon, new_client):
    key = new_client(daemon).key
    daemon.authorize(f'command="echo forced: $SSH_ORIGINAL_COMMAND; sleep 1",no-pty {public(key)}')

    async def scenario():
        async with connected(daemon, key) as client:
            channel = await client.session()
            assert not await channel.request(PTY)
            await channel.request(ExecRequest(b"rm -rf x"))
            assert not await channel.request(SignalRequest("KILL"))
            return await finish(channel)

    assert asyncio.run(scenario()) == (b"forced: rm -rf x\n", b"", 0)
