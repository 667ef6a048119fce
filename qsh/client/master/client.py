"""One client of a master: its requests, one after the other, and its session.

The messages are those of OpenSSH's PROTOCOL.mux, so that ssh(1) can be the client.
"""

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.master import mux_wire as wire
from qsh.client.master.mux_wire import Fields, MessageReader
from qsh.client.master.passenger import PassengerConsole, PassengerSession, Wish, plan_of
from qsh.errors import EXIT_OWN_ERROR, DecodeError, NetworkError, QshError
from qsh.net.tasks import cancel, spawn

if TYPE_CHECKING:
    from qsh.client.master.master import Master

RECEIVE_SIZE = 65536
MAX_DESCRIPTORS = 8
"""Taken by one receive call; each request passes at most three."""

_log = log.logger("mux")


class Boarding:
    """A session that was sent with the login, and who waits for it."""

    def __init__(self, session: PassengerSession, started: asyncio.Event) -> None:
        self.session = session
        self.started = started


class MasterClient:
    """One client of the master's: its requests, one after the other."""

    def __init__(self, master: "Master", sock: socket.socket) -> None:
        self._master = master
        self._socket = sock
        self._reader = MessageReader()
        self._loop = asyncio.get_running_loop()
        self._is_done = False

    async def run(self, boarding: Boarding | None) -> None:
        """Until it hangs up."""
        try:
            self._send(wire.encode(wire.HELLO, wire.VERSION, wire.EXTENSION, "1"))
            if boarding is not None:
                await self._ride(boarding.session, 0, boarding.started)
                return
            while not self._is_done and (message := await self._next()) is not None:
                await self._handle(*message)
        except DecodeError as error:
            _log.error("a client of the shared connection: %s", error)
        except OSError as error:
            _log.debug1("a client of the shared connection: %s", error)
        finally:
            for descriptor in self._reader.leftovers():
                os.close(descriptor)
            self._socket.close()

    async def _next(self) -> tuple[int, Fields, list[int]] | None:
        while (message := self._reader.next()) is None:
            if not await self._receive():
                return None
        return message

    async def _receive(self) -> bool:
        """Read what there is; False at the end."""
        await self._ready()
        flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._socket, RECEIVE_SIZE, MAX_DESCRIPTORS, flags)
        except BlockingIOError:
            return True
        self._reader.receive(data, descriptors)
        return bool(data)

    async def _ready(self) -> None:
        waiter = self._loop.create_future()
        self._loop.add_reader(self._socket.fileno(), _settle, waiter)
        try:
            await waiter
        finally:
            self._loop.remove_reader(self._socket.fileno())

    def _send(self, data: bytes) -> None:
        """Answers are small, and a client that takes none loses them."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._socket.send(data)

    # ------------------------------------------------------------ requests

    async def _handle(self, number: int, fields: Fields, descriptors: list[int]) -> None:
        if number == wire.HELLO:
            if (version := fields.number()) != wire.VERSION:
                raise DecodeError(f"version {version} is not spoken here")
            return
        request = fields.number()
        try:
            answer = await self._answer(number, request, fields, descriptors)
        except QshError as error:
            answer = wire.encode(wire.FAILURE, request, str(error))
        finally:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if answer:
            self._send(answer)

    async def _answer(self, number: int, request: int, fields: Fields,
                      descriptors: list[int]) -> bytes:
        master = self._master
        if number == wire.ALIVE_CHECK:
            return wire.encode(wire.ALIVE, request, os.getpid())
        if number == wire.INFO:
            return wire.encode(wire.INFO_TEXT, request, master.describe(fields.text()))
        if not await master.permits():
            return wire.encode(wire.PERMISSION_DENIED, request, "Permission denied")
        match number:
            case wire.NEW_SESSION:
                await self._serve_session(request, fields, descriptors)
                return b""
            case wire.NEW_STDIO:
                await self._serve_stdio(request, fields, descriptors)
                return b""
            case wire.PROXY:
                await self._serve_proxied(request)
                return b""
            case wire.OPEN_FORWARD | wire.CLOSE_FORWARD:
                return await self._change_forward(number, request, fields)
            case wire.STOP_LISTENING:
                self._send(wire.encode(wire.OK, request))
                master.stop_listening()
                return b""
            case wire.TERMINATE:
                self._send(wire.encode(wire.OK, request))
                master.end()
                return b""
        return wire.encode(wire.FAILURE, request, "unsupported request")

    async def _change_forward(self, number: int, request: int, fields: Fields) -> bytes:
        from qsh.client.master.forwards import change

        port = await change(await self._master.forwards(), fields,
                            cancel=number == wire.CLOSE_FORWARD)  # fmt: skip
        if port:
            return wire.encode(wire.REMOTE_PORT, request, port)
        return wire.encode(wire.OK, request)

    # ------------------------------------------------------------ sessions

    async def _serve_session(self, request: int, fields: Fields, descriptors: list[int]) -> None:
        fields.string()  # reserved
        tty, _x11, agent, subsystem, escape = (fields.number() for _ in range(5))
        term, command, variables = fields.text(), fields.string(), []
        while not fields.is_at_end:
            variables.append(fields.text())
        wish = Wish(bool(tty), bool(agent), bool(subsystem),
                    bytes((escape,)) if 0 < escape < 256 else None, term, command,
                    tuple(variables))  # fmt: skip
        settings = self._master.settings
        plan = plan_of(wish, PassengerConsole(descriptors[0]), settings)
        started = asyncio.Event()
        session = self._master.open_session(plan, descriptors[:], started.set)
        descriptors.clear()  # the session's now
        await self._ride(session, request, started)

    async def _ride(self, session: PassengerSession, request: int,
                    started: asyncio.Event) -> None:
        """The session's course, told to the client; it ends with whoever ends first. Then we
        hang up, for which ssh(1) waits."""
        self._is_done = True
        number = self._master.enter(session)
        running = spawn(session.run(), "passenger")
        gone = spawn(self._until_gone(), "client of passenger")
        starting = spawn(started.wait(), "start of passenger")
        try:
            await asyncio.wait((running, starting, gone), return_when=asyncio.FIRST_COMPLETED)
            if started.is_set():
                self._send(wire.encode(wire.SESSION_OPENED, request, number))
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                session.leave()
                await asyncio.wait((running,))
            self._tell_end(running, request, number, has_started=started.is_set())
        finally:
            await cancel(running, gone, starting)
            self._master.forget(number)
            session.close()

    def _tell_end(self, running: "asyncio.Task[int]", request: int, number: int, *,
                  has_started: bool) -> None:
        error = running.exception()
        if error is None:
            self._send(wire.encode(wire.EXIT_MESSAGE, number, running.result()))
        elif isinstance(error, NetworkError) and self._master.connection.is_over:
            pass  # hanging up says it
        elif not has_started:
            self._send(wire.encode(wire.FAILURE, request, str(error)))
        else:
            self._send(wire.encode(wire.EXIT_MESSAGE, number, EXIT_OWN_ERROR))

    async def _until_gone(self) -> None:
        with contextlib.suppress(OSError):
            while await self._receive():
                pass

    async def _serve_stdio(self, request: int, fields: Fields, descriptors: list[int]) -> None:
        from qsh.forward import stdio
        from qsh.wire.forward_messages import DirectStreamlocal, DirectTcpip

        fields.string()  # reserved
        host, port = fields.text(), fields.number()
        body: object = DirectTcpip(host, port, "127.0.0.1", 0)
        if port == wire.UNIX_SOCKET:
            body = DirectStreamlocal(host)
        channel = self._master.connection.open_channel(body)
        await channel.opened()
        self._send(wire.encode(wire.SESSION_OPENED, request, 0))
        carried = spawn(stdio.run(channel, *descriptors), "stdio over a shared connection")
        gone = spawn(self._until_gone(), "client of stdio")
        try:
            await asyncio.wait((carried, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(carried, gone)
        self._is_done = True  # hanging up is how the client learns of it


    async def _serve_proxied(self, request: int) -> None:
        from qsh.client.master.proxied import ProxiedClient

        self._is_done = True
        self._send(wire.encode(wire.PROXY_READY, request))
        writing = asyncio.Lock()

        async def write(data: bytes) -> None:
            async with writing:
                await self._loop.sock_sendall(self._socket, data)

        connection = self._master.connection
        proxied = ProxiedClient(connection, write, self._master.forwards)
        over = spawn(connection.wait_closed(), "end of a proxied client's connection")
        over.add_done_callback(lambda _: self._hang_up())
        try:
            await proxied.receive(self._reader.rest())
            while await self._receive():
                await proxied.receive(self._reader.rest())
        finally:
            await cancel(over)
            await proxied.close()

    def _hang_up(self) -> None:
        """Whoever speaks SSH to the server itself cannot go on over another connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _settle(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
