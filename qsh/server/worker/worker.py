"""The worker: QUIC, login and channels of one connection, without rights.

A fork of the zygote that first puts itself into the sandbox, then makes everything that must not
be shared between connections: TLS key, engine, event loop. Sees no host key, and as root's child
no file system. May not open anything: what it needs it was born with, or gets from the monitor.
"""

import asyncio
import os
from typing import Any, NoReturn

from qsh import log
from qsh.config.key_exchange import groups_of
from qsh.errors import DisconnectReason, NetworkError, ProtocolError, QshError
from qsh.log import Level, logger
from qsh.net import offload
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.quic import engine as engines
from qsh.quic.engine import Engine, EngineConfig, ServerIdentity, first_control
from qsh.quic.identity import make_certificate, new_identity_key
from qsh.server import sandbox
from qsh.server.launch.connection_start import WorkerStart
from qsh.server.listener.limits import HANDSHAKE_TIMEOUT
from qsh.server.worker.client_moves import ClientMoves
from qsh.server.worker.forwarding import Forwarding
from qsh.server.worker.login import exporter_of, serve_login
from qsh.server.worker.monitor_client import MonitorClient, MonitorGoneError
from qsh.server.worker.requests import SESSION_REQUESTS, ChannelServer, answer_about_sessions
from qsh.server.worker.watch import watch_for
from qsh.wire.codec import Writer, encode_body
from qsh.wire.global_messages import (
    HostKeysAnnounce,
    HostKeysList,
    HostKeysProve,
    SessionProof,
    SessionProve,
)

_log = logger("worker")

DEFAULT_IDLE_TIMEOUT = 24 * 3600.0
"""Seconds without a packet until a connection counts as lost (DESIGN.md): a night without a
network ends no session."""
PARTING_TIME = 2.0
"""Seconds for holders to be told of the end of a connection."""
SETTLED = 1.0
"""Seconds after the login in which most of what it took has been let go."""


def run_worker(start: WorkerStart) -> NoReturn:
    """Be the worker of a new connection. Called in a fork of the zygote."""
    status = 255
    try:
        sandbox.name_process("qshd-worker")
        client = MonitorClient(start.requests)
        client.introduce(os.getpid())
        _log_to(client)
        keep = {0, 1, 2, start.sock.fileno(), start.relay.fileno(), start.requests.fileno()}
        sandbox.close_all_but(keep)
        sandbox.enter_worker_cage(start.empty_folder)
        key = new_identity_key()
        identity = make_certificate(key, client.sign_attestation(key.spki_der))
        client.stock_ids()
        asyncio.run(_Worker(start, client).run(identity))
        status = 0
    except MonitorGoneError:
        pass  # nobody is left to be told
    except BaseException as error:
        _log.error("internal error: %s: %s", type(error).__name__, error)
    finally:
        os._exit(status)


def _log_to(client: MonitorClient) -> None:
    """Our lines go to the monitor, which marks and bounds them."""

    def sink(level: Level, line: str) -> None:
        _head, _, text = line.partition(": ")
        client.log(level, text)

    log.configure(sink=sink)


class _Worker:
    """The connection's course: handshake, login, channels, end."""

    def __init__(self, start: WorkerStart, client: MonitorClient) -> None:
        self._start = start
        self._client = client
        self._settings = start.settings
        self._known_host_keys: asyncio.Task[tuple[bytes, ...]] | None = None

    async def run(self, identity: ServerIdentity) -> None:
        """Until the connection is over, or the monitor gone."""
        self._client.start()
        start = self._start
        connection = Connection.serve(
            start.sock, self._new_engine(identity), start.datagrams, start.peers.remote
        )
        moves = ClientMoves(connection, self._client, start.relay, start.peers.remote)
        moves.start()
        course = spawn(self._serve(connection, moves), "connection")
        assert self._client.gone is not None
        over = spawn(connection.wait_closed(), "end of connection")
        ends: list[asyncio.Future[Any]] = [over, self._client.gone]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        connection.close(DisconnectReason.SERVICE_NOT_AVAILABLE, "the server ends the connection")
        closed = await over
        await asyncio.wait([course], timeout=PARTING_TIME)
        self._client.ended(closed.by_application and not closed.local, closed.reason)
        await cancel(course)

    def _new_engine(self, identity: ServerIdentity) -> Engine:
        settings, start = self._settings, self._start
        alive = settings.client_alive_interval
        config = EngineConfig(
            idle_timeout=alive * max(1, settings.client_alive_count_max) or DEFAULT_IDLE_TIMEOUT,
            keep_alive=alive or None,
            new_id=self._client.new_id,
            congestion_control=first_control(settings.congestion_control),
            key_exchange=groups_of(settings.kex_algorithms),
            largest_datagram_size=offload.largest_payload(start.sock),
        )
        return engines.load(settings.engine).new_server(
            config, identity,
            original_destination_connection_id=start.original_destination,
            retry_source_connection_id=start.retry_source,
            now=asyncio.get_running_loop().time(),
        )  # fmt: skip

    async def _serve(self, connection: Connection, moves: ClientMoves) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await connection.handshaken()
            forwarding = Forwarding(
                connection, self._client, may_tune=self._settings.congestion_control == "auto"
            )
            answers = spawn(self._answer_requests(connection, forwarding), "global requests")
            async with asyncio.timeout(self._settings.login_grace_time):
                secret = self._start.delay_secret
                verdict = await serve_login(connection, self._client, self._settings, secret)
            moves.logged_in()
            channels = ChannelServer(self._client, verdict, forwarding)
            watch = spawn(watch_for(connection, verdict).run(), "watch")
            await self._announce_host_keys(connection)
            asyncio.get_running_loop().call_later(SETTLED, sandbox.return_memory)
            while (channel := await connection.accept_channel()) is not None:
                channels.take(channel)
            await cancel(answers, watch)
            await channels.parted()
        except TimeoutError:
            connection.close(DisconnectReason.BY_APPLICATION, "too late to log in")
        except ProtocolError as error:
            connection.close(error.code, str(error))
        except (NetworkError, MonitorGoneError) as error:
            _log.debug1("%s", error)
            connection.close(DisconnectReason.CONNECTION_LOST, "")
        except QshError as error:
            connection.close(DisconnectReason.SERVICE_NOT_AVAILABLE, str(error))

    async def _announce_host_keys(self, connection: Connection) -> None:
        """UpdateHostKeys of ssh_config(5): the client may ask for proofs (OpenSSH's PROTOCOL)."""
        await connection.request(HostKeysAnnounce(await self._host_keys()), want_reply=False)

    async def _host_keys(self) -> tuple[bytes, ...]:
        """All of them, for which the monitor is asked once."""
        if self._known_host_keys is None:
            self._known_host_keys = spawn(self._client.host_keys(), "host keys")
        return await self._known_host_keys

    async def _answer_requests(self, connection: Connection, forwarding: Forwarding) -> None:
        answer: bytes | None
        while (request := await connection.next_request()) is not None:
            if isinstance(request.body, HostKeysList):
                answer = encode_body(HostKeysAnnounce(await self._host_keys()))
            elif isinstance(request.body, HostKeysProve):
                answer = await self._prove(connection, request.body)
            elif isinstance(request.body, SessionProve):
                signature = await self._client.prove_session(exporter_of(connection))
                answer = encode_body(SessionProof(signature))
            elif isinstance(request.body, SESSION_REQUESTS):
                answer = await answer_about_sessions(self._client, request.body)
            else:
                answer = await forwarding.answer(request.body)
            connection.answer(request, answer)

    async def _prove(self, connection: Connection, asked: HostKeysProve) -> bytes | None:
        writer = Writer()
        for key in asked.keys:
            proof = await self._client.prove_host_key(exporter_of(connection), key)
            if not proof:
                return None
            writer.string(proof)
        return writer.finish()
