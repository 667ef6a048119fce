"""A client that says exactly what a test tells it to, over a real connection to a real qshd.

For what the program `qsh` would never do: odd requests, no login, no manners.
"""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

from qsh.auth.private_key import load_private
from qsh.auth.signing import session_identifier, sign_userauth, verify_attestation
from qsh.net.dial import dial
from qsh.quic import engine
from qsh.quic.engine import EngineConfig
from qsh.quic.identity import read_attestation
from qsh.wire.channel_messages import ExitSignal, ExitStatus, SessionOpen
from qsh.wire.events import LoginFailed, LoginSucceeded
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth_messages import PublicKeyRequest
from tests.integration.harness import USER

EXPORTER_LABEL = b"EXPORTER-qsh-session-id"

IDLE = {"qshd-keys", "qshd-launcher", "qshd-zygote"}
"""A daemon's processes beside the listener, while there is no connection."""


class RawClient:
    """One connection. `key` is the path of the private key to log in with."""

    def __init__(self, connection, key):
        self.connection = connection
        self.key = load_private(str(key))

    def prove_host(self):
        """Check the attestation; the session identifier."""
        attestation, spki = read_attestation(self.connection.peer_certificate)
        odcid = self.connection.original_destination_connection_id
        self.host_key = verify_attestation(attestation, spki, odcid)
        exporter = self.connection.export_keying_material(EXPORTER_LABEL, b"", 32)
        return session_identifier(exporter, attestation.raw)

    def send_login(self, user=USER, session=None):
        """Ask to come in, signed for this connection or for `session`."""
        session = session or self.prove_host()
        algorithm = self.key.public.signature_algorithms[0]
        signature = sign_userauth(self.key.sign, self.key.public, session, user, algorithm)
        body = PublicKeyRequest(algorithm, self.key.public.blob, signature)
        self.connection.login.request(user, body)

    async def log_in(self, **options):
        """LoginSucceeded or LoginFailed."""
        self.send_login(**options)
        return await self.login_answer()

    async def login_answer(self):
        while True:
            event = await self.connection.next_login_event()
            if isinstance(event, LoginSucceeded | LoginFailed):
                return event

    async def session(self):
        """A new session channel, opened."""
        channel = self.connection.open_channel(SessionOpen())
        await channel.opened()
        return channel

    async def run(self, command):
        """(stdout, stderr, exit status or signal) of a command."""
        channel = await self.session()
        assert await channel.request(ExecRequest(command))
        return await finish(channel)


async def finish(channel):
    """What a session still says until it is over: (stdout, stderr, exit)."""
    channel.write_eof()
    streams = await asyncio.gather(read_all(channel, 0), read_all(channel, 1))
    return (*streams, await exit_of(channel))


async def read_all(channel, data_type=0):
    pieces = []
    while piece := await channel.read(data_type):
        pieces.append(piece)
    return b"".join(pieces)


async def exit_of(channel):
    """The status as a number, or the signal's name; None if the server told neither."""
    while (request := await channel.next_request()) is not None:
        if isinstance(request.body, ExitStatus):
            return request.body.status
        if isinstance(request.body, ExitSignal):
            return request.body.signal
    return None


@asynccontextmanager
async def connected(daemon, key, *, login=True):
    """A RawClient of a running Daemon, logged in unless told otherwise."""
    connection = await dial(
        daemon.address, daemon.port, factory=engine.load(daemon.engine), config=EngineConfig(),
        timeout=20,
    )  # fmt: skip
    client = RawClient(connection, key)
    try:
        connection.trust()
        if login:
            assert isinstance(await client.log_in(), LoginSucceeded)
        yield client
    finally:
        connection.close()


async def closed_by_server(connection, seconds=20):
    """How the server ended the connection."""
    return await asyncio.wait_for(connection.wait_closed(), seconds)


# ---------------------------------------------------------------- processes


def processes_of(daemon):
    """{process ID: name} of a daemon's processes, from /proc."""
    found, ancestors = {}, {daemon.process.pid}
    rows = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                rows.append((int(folder.name), *read_stat(folder.name)))
            except OSError:
                continue
    grown = True
    while grown:
        grown = False
        for pid, name, parent, state in rows:
            if parent in ancestors and pid not in ancestors:
                ancestors.add(pid)
                found[pid] = f"{name} (zombie)" if state == "Z" else name
                grown = True
    return found


def read_stat(pid):
    head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    state, parent = tail.split()[:2]
    return head.partition("(")[2], int(parent), state


def named(daemon, name):
    return [pid for pid, found in processes_of(daemon).items() if found == name]


def wait_until(condition, seconds=15.0):
    """Whether the condition holds within that time."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


async def wait_for(condition, seconds=15.0):
    """As wait_until, while the loop goes on."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        await asyncio.sleep(0.05)
    return held
