"""Channel opens and channel requests at the server: RFC 4254 sections 5.1, 6.2 to 6.9, RFC 4335.

What precedes the program (pty-req, env) is gathered; shell, exec and subsystem ask the monitor to
start it, once per channel. Whether anything is permitted is the monitor's decision; refusals here
only spare it the question. Logins to the log are the monitor's too.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from qsh.auth.patterns import match_pattern
from qsh.errors import NetworkError, OpenFailure
from qsh.forward.listener import Listener
from qsh.log import logger
from qsh.net.channel import Channel
from qsh.net.tasks import spawn
from qsh.record import replace
from qsh.server.accounts.environment import MAX_VARIABLES
from qsh.server.holder.messages import OUTPUT, Break, Eof, Mode, Resize, Signal, Start
from qsh.server.holder.program import SIGNALS
from qsh.server.monitor.messages import (
    UNMARKED,
    LoginVerdict,
    SessionKind,
    StartSession,
    X11Grant,
    encode_pairs,
)
from qsh.server.worker.forwarding import Forwarding
from qsh.server.worker.monitor_client import MonitorClient, SessionDeniedError
from qsh.server.worker.session import Session
from qsh.server.worker.x11 import is_plain
from qsh.wire.channel_messages import (
    BreakRequest,
    SessionOpen,
    SignalRequest,
    UnknownRequest,
    WindowChange,
)
from qsh.wire.codec import encode_body
from qsh.wire.forward_messages import AgentRequest, X11Request
from qsh.wire.session_messages import (
    SESSION_LENGTH,
    AttachRequest,
    DetachRequest,
    EndSessionRequest,
    KeepRequest,
    ProgressRequest,
    SessionsRequest,
    TicketKeyRequest,
)
from qsh.wire.start_messages import (
    EnvRequest,
    ExecRequest,
    PtyRequest,
    ShellRequest,
    SubsystemRequest,
)

_log = logger("session")

INTERACTIVE = 2
"""Priority of a session with a terminal: before bulk data (net.channel.Channel.set_priority)."""
MAX_COMMAND = 128 * 1024
"""Bytes of a command and its variables: execve(2) takes no longer string."""


@dataclass(slots=True)
class ChannelServer:
    """Takes the channels that a client opens."""

    client: MonitorClient
    verdict: LoginVerdict
    forwarding: Forwarding
    _open: int = 0
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, channel: Channel) -> None:
        """Accept or refuse a channel; an accepted one is served by a task of its own."""
        if isinstance(channel.body, SessionOpen):
            if self._open >= self.verdict.max_sessions:
                channel.refuse(OpenFailure.RESOURCE_SHORTAGE, "no more sessions")
                return
            channel.accept()
            self._open += 1
            task = spawn(self._serve(channel), "session requests")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        elif not self.forwarding.take(channel):
            _log.debug1("channel of unknown type %s refused", channel.kind)
            channel.refuse(OpenFailure.UNKNOWN_CHANNEL_TYPE, "unknown channel type")

    async def parted(self) -> None:
        """After the connection's end: until every holder knows whether its client may come back,
        also one that was only being started."""
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, channel: Channel) -> None:
        session = SessionChannel(channel, self.client, self.verdict, self.forwarding)
        try:
            await session.serve()
        finally:
            self._open -= 1


@dataclass(slots=True)
class SessionChannel:
    """One `session` channel: its requests, and the session they start."""

    channel: Channel
    client: MonitorClient
    verdict: LoginVerdict
    forwarding: Forwarding
    _agent: str = ""
    _display: Listener | None = None
    _x11: bytes = b""
    _pty: PtyRequest | None = None
    _variables: list[tuple[str, str]] = field(default_factory=list)
    _keep: KeepRequest | None = None
    _session: Session | None = None
    _is_forced: bool = False

    async def serve(self) -> None:
        """Until the channel is over, and its session with it."""
        with contextlib.suppress(NetworkError):
            while (request := await self.channel.next_request()) is not None:
                ok = await self._grant(request.body)
                self.channel.answer(request, ok)
        if self._session is not None:
            await self._session.wait()
        if self._display is not None:
            self._display.close()

    async def _grant(self, body: object) -> bool:
        match body:
            case PtyRequest():
                return self._take_pty(body)
            case EnvRequest(name, value):
                return self._take_variable(name, value)
            case AgentRequest():
                return await self._take_agent()
            case X11Request():
                return await self._take_x11(body)
            case KeepRequest():
                return self._take_keep(body)
            case AttachRequest():
                return await self._attach(body)
            case ProgressRequest() if self._session is not None:
                await self._session.acknowledge(body)
                return True
            case DetachRequest() if self._session is not None:
                self._session.is_detaching = True
                return True
            case ShellRequest():
                return await self._start(SessionKind.SHELL, b"")
            case ExecRequest(command):
                return await self._start(SessionKind.EXEC, command)
            case SubsystemRequest(name):
                return await self._start(SessionKind.SUBSYSTEM, name.encode())
            case WindowChange():
                return await self._resize(body)
            case SignalRequest(signal):
                return await self._signal(signal)
            case BreakRequest(milliseconds):
                return await self._break(milliseconds)
            case UnknownRequest("eow@openssh.com", _) if self._session is not None:
                await self._session.tell(Eof(OUTPUT, 0))
                return True
        return False

    def _take_pty(self, request: PtyRequest) -> bool:
        if self._session is not None or self._pty is not None or not self.verdict.pty:
            return False
        self._pty = request
        self.channel.set_priority(INTERACTIVE)
        return True

    def _take_variable(self, name: str, value: str) -> bool:
        accepted = any(match_pattern(name, item) for item in self.verdict.accept_env)
        if self._session is not None or not accepted or len(self._variables) >= MAX_VARIABLES:
            return False
        self._variables.append((name, value))
        return True

    async def _take_agent(self) -> bool:
        if self._session is None and not self._agent:
            self._agent = await self.forwarding.agent()
        return bool(self._agent)

    async def _take_x11(self, request: X11Request) -> bool:
        is_known = is_plain(request.protocol) and is_plain(request.cookie)
        if self._session is not None or self._display is not None or not is_known:
            return False
        made = await self.forwarding.x11(is_single=request.is_single)
        if made is None:
            return False
        self._display, number = made
        grant = X11Grant(number, request.screen, request.protocol, request.cookie)
        self._x11 = encode_body(grant)
        return True

    async def _start(self, kind: SessionKind, command: bytes) -> bool:
        variables = encode_pairs(self._variables)
        if self._session is not None or len(command) + len(variables) > MAX_COMMAND:
            return False
        pty = self._pty or PtyRequest("", 0, 0, 0, 0, b"")
        request = StartSession(
            kind, command, self._pty is not None, pty.term, pty.columns, pty.rows, pty.width_px,
            pty.height_px, pty.modes, variables, self._agent, self._x11,
            self._keep.session if self._keep else b"", self._keep.label if self._keep else "",
        )  # fmt: skip
        await self.forwarding.settled()
        try:
            sock, self._is_forced, is_kept = await self.client.start_session(request)
        except SessionDeniedError as error:
            _log.debug1("%s", error)
            return False
        keep = self._keep if is_kept else None
        start = Start(Mode.TAKE_OVER, keep.client if keep else b"", self._origin,
                      keep is not None, 0, 0)  # fmt: skip
        self._session = Session(self.channel, sock, start, keep.session if keep else b"")
        self._mark_packets()
        return await self._session.attached()

    def _take_keep(self, request: KeepRequest) -> bool:
        lengths = (len(request.session), len(request.client))
        if self._session is not None or lengths != (SESSION_LENGTH, SESSION_LENGTH):
            return False
        self._keep = request
        return True

    async def _attach(self, request: AttachRequest) -> bool:
        """Go on with a session that an earlier connection has begun."""
        is_sound = len(request.client) == SESSION_LENGTH and request.mode in tuple(Mode)
        if self._session is not None or not is_sound:
            return False
        await self.forwarding.settled()
        try:
            sock, number, self._is_forced = await self.client.attach_session(request.session)
        except SessionDeniedError as error:
            _log.debug1("%s", error)
            return False
        start = Start(request.mode, request.client, self._origin, True,
                      request.output_offset, request.errors_offset)  # fmt: skip
        self._session = Session(self.channel, sock, start, number, request.input_offset)
        self._mark_packets()
        is_attached = await self._session.attached()
        if is_attached and self._pty is not None and request.mode != Mode.WATCH:
            size = self._pty
            await self._session.tell(
                Resize(size.columns, size.rows, size.width_px, size.height_px)
            )
        return is_attached

    def _mark_packets(self) -> None:
        """IPQoS: as sshd, the whole connection by the session that began last."""
        verdict = self.verdict
        mark = verdict.interactive_class if self._pty is not None else verdict.other_class
        if mark != UNMARKED:
            self.channel.connection.paths.mark(mark)

    @property
    def _origin(self) -> str:
        remote = self.channel.connection.remote
        return f"{remote[0]} port {remote[1]}" if remote else ""

    async def _resize(self, size: WindowChange) -> bool:
        if self._pty is None:
            return False
        if self._session is None:
            self._pty = replace(
                self._pty, columns=size.columns, rows=size.rows, width_px=size.width_px,
                height_px=size.height_px,
            )  # fmt: skip
        else:
            await self._session.tell(
                Resize(size.columns, size.rows, size.width_px, size.height_px)
            )
        return True

    async def _signal(self, name: str) -> bool:
        if self._session is None or self._is_forced or name not in SIGNALS:
            return False
        await self._session.tell(Signal(name))
        return True

    async def _break(self, milliseconds: int) -> bool:
        if self._session is None or self._pty is None:
            return False
        await self._session.tell(Break(milliseconds))
        return True


SESSION_REQUESTS = (SessionsRequest, EndSessionRequest, TicketKeyRequest)
"""Global requests for `answer_about_sessions`."""


async def answer_about_sessions(
    client: MonitorClient, body: SessionsRequest | EndSessionRequest | TicketKeyRequest
) -> bytes | None:
    """The answer to a global request; None for failure."""
    match body:
        case SessionsRequest():
            return await client.list_sessions()
        case EndSessionRequest(session):
            is_done = await client.end_session(session)
        case TicketKeyRequest(session, key_blob):
            is_done = await client.write_ticket(session, key_blob)
    return b"" if is_done else None
