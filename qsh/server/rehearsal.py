"""What connections will do, done once before the first fork, and thrown away.

Libraries load more when first used, which a worker without files could not. Records and decoders
are written and compiled at their first use, which each worker would else do anew: a quarter of a
login's time. And Python rewrites code as it runs: what has run a few times is shared by all
processes, where else each of them would have a copy of its own.
"""

import asyncio
import socket

from qsh.auth import authorized_keys
from qsh.auth.generate import new_ed25519
from qsh.auth.private_key import parse_private
from qsh.auth.public_key import PublicKey
from qsh.errors import QshError
from qsh.net.connection import Connection
from qsh.net.stream_link import StreamLink
from qsh.quic import engine as engines
from qsh.quic.engine import EngineConfig
from qsh.quic.identity import load_identity, make_certificate, new_identity_key
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.connection import Role
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth import ClientLogin, ServerLogin
from qsh.wire.userauth_messages import NoneRequest

CONNECTIONS, ROUNDS = 2, 6
"""A record's `__init__` is written for its second instance, and Python takes code for worth
rewriting once it has run a few times."""
PATIENCE = 5.0
"""Seconds; it takes a fiftieth of one."""
_ADDRESSES = ("127.0.0.1", 1), ("127.0.0.1", 2)


def use_libraries() -> None:
    """Have keys and certificates, a signature, a line of authorized_keys, and an event loop."""
    load_identity(make_certificate(new_identity_key(), b""))
    for _ in range(2):  # as with connections
        _use_keys()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def rehearse(engine_name: str | None) -> None:
    """Connections of the server's with itself. Nothing of it is kept: keys, random numbers and
    engines are made anew after each fork."""
    loop = asyncio.new_event_loop()
    try:
        for _ in range(CONNECTIONS):
            loop.run_until_complete(asyncio.wait_for(_connect(engine_name), PATIENCE))
    except (OSError, QshError, TimeoutError):
        pass  # then the first users pay
    finally:
        loop.close()


def _use_keys() -> None:
    private, line = new_ed25519()
    key = PublicKey.from_line(line)
    signature = parse_private(private).sign(b"")
    assert key.verify(b"", signature)
    found = authorized_keys.match(
        f'from="::1" {line}'.encode(), "", key, user="", address="::1", now=0.0
    )
    assert found is not None


async def _connect(engine_name: str | None) -> None:
    identity = make_certificate(new_identity_key(), b"")
    load_identity(identity)
    factory, now = engines.load(engine_name), asyncio.get_running_loop().time()
    here, there = _ADDRESSES
    ours, its = socket.socketpair()
    caller = factory.new_client(EngineConfig(), "", there, now)
    client = Connection(Role.CLIENT, caller, StreamLink(ours, here, there))
    server = Connection(Role.SERVER, factory.new_server(
        EngineConfig(), identity, now=now, retry_source_connection_id=None,
        original_destination_connection_id=caller.original_destination_connection_id,
    ), StreamLink(its, there, here))  # fmt: skip
    server.start()
    client.start()
    await asyncio.gather(client.handshaken(), server.handshaken())
    client.trust()
    asking, answering = client.login, server.login
    assert isinstance(asking, ClientLogin)
    assert isinstance(answering, ServerLogin)
    asking.request("user", NoneRequest())
    await server.next_login_event()
    answering.accept()
    await client.next_login_event()
    for _ in range(ROUNDS):
        await _talk(client, server)
    client.close()
    await asyncio.gather(client.wait_closed(), server.wait_closed())


async def _talk(client: Connection, server: Connection) -> None:
    asked = client.open_channel(SessionOpen())
    taken = await server.accept_channel()
    assert taken is not None
    taken.accept()
    await asked.opened()
    answer = asked.ask(ExecRequest(b"true"))
    request = await taken.next_request()
    assert request is not None
    taken.answer(request, True)
    await answer
    await taken.write(b"output")
    await asked.read()
    await asked.write(b"input")
    await taken.read()
    for channel in (asked, taken):
        channel.close()
