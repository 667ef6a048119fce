"""How many round trips lie between starting and the first byte of output: two."""

import asyncio
import os
import subprocess

import pytest

from qsh.auth.known_hosts_file import entry_line
from qsh.client.host.check import HostCheck
from qsh.client.host.proofs import read_proof
from qsh.client.login.keyring import Keyring
from qsh.client.login.login import Login
from qsh.client.plan import LocalTerminal, plan_session
from qsh.client.session.console import Console
from qsh.client.session.session import Session
from qsh.config.client_settings import ClientSettings
from qsh.quic.engine import available
from qsh.wire.channel_messages import ExitStatus
from qsh.wire.start_messages import ExecRequest
from tests.attested import Answers, Host
from tests.key_making import ED25519
from tests.pair import Conditions, run

LATENCY = 0.1
RTT = 2 * LATENCY
EARLY_INPUT = b"x" * 8_000
"""As much as the first congestion window takes."""


@pytest.fixture
def settings(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    hosts = tmp_path / "known_hosts"
    hosts.write_bytes(entry_line("h", 22, ED25519.public))
    return ClientSettings("h", "h", "alice", identity_files=(str(key),),
                          user_known_hosts_files=(str(hosts),))


async def serve(host, times):
    """The server's side: notes when login, command and input have all come."""
    login = asyncio.ensure_future(host.answer_login(lambda login, _body: login.accept()))
    channel = await host.pair.server.accept_channel()
    await login
    channel.accept()
    request = await channel.next_request()
    assert isinstance(request.body, ExecRequest)
    channel.answer(request, True)
    received = b""
    while len(received) < len(EARLY_INPUT):
        received += await channel.read()
    times["input"] = asyncio.get_running_loop().time()
    await channel.write(b"output")
    channel.write_eof()
    channel.send_request(ExitStatus(0))
    channel.close()


async def visit(settings, host, files):
    loop, times = asyncio.get_running_loop(), {}
    stdin, stdout, stderr = files
    began = loop.time()
    async with host.connected(Conditions(latency=LATENCY)) as client:
        serving = asyncio.ensure_future(serve(host, times))
        loop.add_reader(stdout[0], lambda: times.setdefault("output", loop.time()))
        proof = read_proof(client)
        await HostCheck(client, proof, settings, Answers(), 0).run()
        keyring = Keyring(settings, Answers())
        login = Login(client, proof, settings, keyring, Answers(), await keyring.identities())
        await login.start()
        plan = plan_session(settings, ("cat",), {}, LocalTerminal(False))
        session = Session(client, plan, Console(stdin[0]), "h", (stdout[1], stderr[1]))
        session.open()
        await login.finish()
        assert await session.run() == 0
        await serving
        loop.remove_reader(stdout[0])
    return {name: time - began for name, time in times.items()}


@pytest.mark.parametrize("engine", available())
def test_first_output_after_two_round_trips(settings, engine, monkeypatch):
    monkeypatch.setenv("QSH_ENGINE", engine)
    files = [os.pipe() for _ in range(3)]
    os.write(files[0][1], EARLY_INPUT)
    try:
        times = run(visit(settings, Host(ED25519), files))
    finally:
        for descriptor in (fd for pair in files for fd in pair):
            os.close(descriptor)
    # Login, command and input in one flight: half a round trip after the handshake's one.
    assert times["input"] == pytest.approx(1.5 * RTT, abs=0.01)
    assert times["output"] == pytest.approx(2 * RTT, abs=0.01)
