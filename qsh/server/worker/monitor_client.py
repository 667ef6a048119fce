"""The worker's side of the monitor: one function per request.

Replies come in the order of the requests. When the monitor is gone every request fails with
MonitorGoneError, and `gone` tells whoever waits for it.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from typing import Any

from qsh.errors import DecodeError, NetworkError, QshError
from qsh.quic.engine import CONNECTION_ID_LENGTH, IssuedId
from qsh.quic.events import Address
from qsh.server.descriptors import receive_with
from qsh.server.launch.messages import Born
from qsh.server.listener.connection_ids import RESET_TOKEN_LENGTH
from qsh.server.monitor.keeping_messages import AttachSession, EndSession, ListSessions
from qsh.server.monitor.messages import (
    MAX_MESSAGE,
    REPLIES,
    AnswerQuestions,
    CheckLogin,
    ConnectTo,
    Ended,
    GiveIds,
    ListHostKeys,
    LoginVerdict,
    LogLine,
    MayMove,
    NewPasswordWanted,
    OpenerRefused,
    ProveHostKey,
    ProveSession,
    Questions,
    SessionRefused,
    SignAttestation,
    StartOpener,
    StartSession,
)
from qsh.server.monitor.ticket_messages import WriteTicket
from qsh.wire.codec import Reader, encode

ID_STOCK = 48
"""Connection IDs to have ready: an engine asks for one without waiting."""
ID_LOW = 24
_ID_LENGTH = CONNECTION_ID_LENGTH + RESET_TOKEN_LENGTH
LoginReply = LoginVerdict | Questions | NewPasswordWanted


class MonitorGoneError(QshError):
    """The monitor has ended: so must this process."""


class SessionDeniedError(QshError):
    """The monitor does not permit the session."""


class MonitorClient:
    """The requests. Before `start` they block; from then on the running loop serves them."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._replies: deque[asyncio.Future[tuple[Any, list[int]]]] = deque()
        self._ids: deque[IssuedId] = deque()
        self._asked_for_ids = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.gone: asyncio.Future[None] | None = None

    # ------------------------------------------------------------ before the loop

    def introduce(self, own: int) -> None:
        """Give the monitor a descriptor of this process, whose ID is `own`: the first message."""
        pidfd = os.pidfd_open(own)
        try:
            socket.send_fds(self._socket, [encode(Born())], [pidfd])
        except OSError:
            raise MonitorGoneError("the monitor has ended") from None
        finally:
            os.close(pidfd)

    def sign_attestation(self, spki: bytes) -> bytes:
        """The host's word for our TLS key. Blocks."""
        return bytes(self._call_blocking(SignAttestation(spki)).attestation)

    def stock_ids(self) -> None:
        """Have connection IDs ready. Blocks."""
        self._store_ids(self._call_blocking(GiveIds(ID_STOCK)).ids)

    def _call_blocking(self, request: Any) -> Any:
        try:
            self._socket.send(encode(request))
            data = self._socket.recv(MAX_MESSAGE)
        except OSError:
            data = b""
        if not data:
            raise MonitorGoneError("the monitor has ended")
        return REPLIES.decode(data)

    # ------------------------------------------------------------ on the loop

    def start(self) -> None:
        """Go on without blocking."""
        self._loop = asyncio.get_running_loop()
        self.gone = self._loop.create_future()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._receive)

    def new_id(self) -> IssuedId:
        """A connection ID for the engine. Raises NetworkError if a peer has used up all."""
        if len(self._ids) <= ID_LOW and self._loop is not None and not self._asked_for_ids:
            self._asked_for_ids = True
            self._send(GiveIds(ID_STOCK)).add_done_callback(self._take_ids)
        if not self._ids:
            raise NetworkError("connection IDs are asked for too fast")
        return self._ids.popleft()

    async def check_login(self, request: CheckLogin | AnswerQuestions) -> LoginReply:
        """The verdict on a login request, or what the user is to be asked first."""
        reply, _ = await self._send(request)
        assert isinstance(reply, LoginVerdict | Questions | NewPasswordWanted)
        return reply

    async def host_keys(self) -> tuple[bytes, ...]:
        """The public keys of the host."""
        reply, _ = await self._send(ListHostKeys())
        reader, keys = Reader(reply.keys), []
        while not reader.at_end:
            keys.append(reader.string())
        return tuple(keys)

    async def prove_host_key(self, exporter: bytes, key_blob: bytes) -> bytes:
        """A signature by that host key; empty if it is none of the host's."""
        reply, _ = await self._send(ProveHostKey(exporter, key_blob))
        return bytes(reply.signature)

    async def prove_session(self, exporter: bytes) -> bytes:
        """The first host key's signature over the session identifier."""
        reply, _ = await self._send(ProveSession(exporter))
        return bytes(reply.signature)

    async def start_session(self, request: StartSession) -> tuple[socket.socket, bool, bool]:
        """The socket to a new session's holder, whether its command is a forced one, and whether
        it is kept. Raises SessionDeniedError."""
        reply, sock = await self._ask_socket(request)
        return sock, bool(reply.forced), bool(reply.kept)

    async def attach_session(self, session: str) -> tuple[socket.socket, bytes, bool]:
        """The socket to a session's holder, its number, and whether its command is a forced one.
        Raises SessionDeniedError."""
        reply, sock = await self._ask_socket(AttachSession(session))
        return sock, bytes(reply.session), bool(reply.forced)

    async def list_sessions(self) -> bytes:
        """The account's sessions, as SessionsListed has them."""
        reply, _ = await self._send(ListSessions())
        return bytes(reply.entries)

    async def end_session(self, session: str) -> bool:
        """Have it hang up; whether there is such a session."""
        reply, _ = await self._send(EndSession(session))
        return bool(reply.found)

    async def write_ticket(self, session: bytes, key_blob: bytes) -> bool:
        """Let the client come back to this session by that key; whether it will do."""
        reply, _ = await self._send(WriteTicket(session, key_blob))
        return bool(reply.written)

    async def _ask_socket(self, request: Any) -> tuple[Any, socket.socket]:
        reply, descriptors = await self._send(request)
        if isinstance(reply, SessionRefused) or not descriptors:
            raise SessionDeniedError(getattr(reply, "text", "no socket came"))
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        return reply, sock

    async def start_opener(self) -> socket.socket:
        """The socket to the user's opener. Raises SessionDeniedError."""
        reply, descriptors = await self._send(StartOpener())
        if isinstance(reply, OpenerRefused) or not descriptors:
            raise SessionDeniedError(getattr(reply, "text", "no socket came"))
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        return sock

    async def may_move(self, host: str) -> bool:
        """Whether the client may go on from that address."""
        verdict, _ = await self._send(MayMove(host))
        return bool(verdict.allowed)

    async def connect_to(self, remote: Address) -> socket.socket | None:
        """A socket connected to the client's new address; None if there is none for it."""
        _, descriptors = await self._send(ConnectTo(*remote))
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def log(self, level: int, text: str) -> None:
        """A line for the log; lost if the monitor does not take it at once."""
        with contextlib.suppress(OSError, QshError):
            self._socket.send(encode(LogLine(level, text)), socket.MSG_DONTWAIT)

    def ended(self, by_peer: bool, text: str) -> None:
        """The connection is over."""
        with contextlib.suppress(OSError, QshError):
            self._socket.send(encode(Ended(by_peer, text)), socket.MSG_DONTWAIT)

    # ------------------------------------------------------------ inside

    def _send(self, request: Any) -> "asyncio.Future[tuple[Any, list[int]]]":
        assert self._loop is not None
        future: asyncio.Future[tuple[Any, list[int]]] = self._loop.create_future()
        try:
            # The monitor answers before it is asked again much: its socket has room.
            self._socket.send(encode(request))
        except OSError as error:
            future.set_exception(MonitorGoneError(f"the monitor does not listen: {error.strerror}"))
        else:
            self._replies.append(future)
        return future

    def _receive(self) -> None:
        try:
            data, descriptors = receive_with(self._socket, MAX_MESSAGE, 1)
            reply = REPLIES.decode(data) if data else None
        except BlockingIOError:
            return
        except (OSError, DecodeError):
            reply = None
        if reply is None or not self._replies:
            self._end()
            return
        future = self._replies.popleft()
        if not future.done():
            future.set_result((reply, descriptors))
        else:  # nobody waits for it any more
            for descriptor in descriptors:
                os.close(descriptor)

    def _end(self) -> None:
        assert self._loop is not None
        assert self.gone is not None
        self._loop.remove_reader(self._socket.fileno())
        while self._replies:
            future = self._replies.popleft()
            if not future.done():
                future.set_exception(MonitorGoneError("the monitor has ended"))
        if not self.gone.done():
            self.gone.set_result(None)

    def _take_ids(self, future: "asyncio.Future[tuple[Any, list[int]]]") -> None:
        self._asked_for_ids = False
        if not future.cancelled() and future.exception() is None:
            self._store_ids(future.result()[0].ids)

    def _store_ids(self, raw: bytes) -> None:
        for at in range(0, len(raw), _ID_LENGTH):
            one = raw[at : at + _ID_LENGTH]
            self._ids.append(IssuedId(one[:CONNECTION_ID_LENGTH], one[CONNECTION_ID_LENGTH:]))
