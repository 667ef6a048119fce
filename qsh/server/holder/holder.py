"""The holder: one process per session, as the user, between workers and the user's program.

Owns the terminal or the pipes, counts bytes by absolute offsets, keeps what a client may ask for
again, reports the program's end after all its output. One selector loop, no asyncio.

    worker ══ attach messages ══ holder ── pty or pipes ── program

A session that is kept (SessionPlan.keeping) outlives its workers; another hangs up with its only
one.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from qsh.errors import DecodeError
from qsh.server.holder.attachment import Attachment, LostError
from qsh.server.holder.clients import Clients
from qsh.server.holder.door import Describe, Described, Door, End, Join
from qsh.server.holder.messages import (
    ANY_OFFSET,
    INPUT,
    OUTPUT,
    VERSION,
    WINDOW,
    Acknowledged,
    Attached,
    Break,
    Consumed,
    Data,
    Eof,
    Goodbye,
    Mode,
    Reason,
    Resize,
    SentAway,
    Signal,
    Silent,
    Start,
)
from qsh.server.holder.outputs import Outputs
from qsh.server.holder.program import Program, start_program
from qsh.server.holder.pty import Size, Terminal
from qsh.server.holder.start import SessionPlan
from qsh.wire.codec import encode

WORTH_SPLICING = 16 * 1024
"""Bytes of input: less is read and written, as it may be typing."""


class HangUp(Exception):  # noqa: N818
    """The session is to end."""


class Holder:
    """The loop. `door` is where later workers come in; None where none can."""

    def __init__(self, program: Program, plan: SessionPlan, door: Door | None) -> None:
        self._program = program
        self._keeping = plan.keeping
        self._door = door
        self._outputs = Outputs(plan.keeping, has_terminal=plan.has_terminal)
        if plan.keeping is not None and plan.keeping.keeps_screen:
            self._outputs.keep_screen(*os.get_terminal_size(program.files[OUTPUT]))
        self._attachments: list[Attachment] = []
        self._clients = Clients()
        self._alone_since = time.monotonic()
        self._is_heard = False
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, int] = {}

    def adopt(self, worker: socket.socket) -> None:
        """A worker's socket: it will say what it wants."""
        worker.setblocking(False)
        self._attachments.append(Attachment(worker))

    def run(self) -> None:
        """Until the program has ended and a client has heard it, or the session is given up."""
        try:
            while not self._is_over:
                now = time.monotonic()  # one for both: what rests is not watched, but waited for
                self._watch(now)
                for key, mask in self._selector.select(self._patience(now)):
                    key.data(mask)
                self._tell_all()
                self._trim()
                self._check_time()
        except HangUp:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._program.hang_up()

    @property
    def _is_over(self) -> bool:
        if self._program.exit is None or self._program.open_outputs:
            return False
        return self._is_heard or (self._keeping is None and any(
            one.was_told_exit and not one.wants_to_send for one in self._attachments))  # fmt: skip

    @property
    def _holding(self) -> list[Attachment]:
        return [one for one in self._attachments if one.is_holding]

    # ------------------------------------------------------------ what to wait for

    def _watch(self, now: float) -> None:
        """Wait for exactly what can be dealt with: this is the back-pressure."""
        program = self._program
        wanted: dict[int, tuple[int, Callable[[int], None]]] = {}
        if self._door is not None:
            wanted[self._door.socket.fileno()] = (selectors.EVENT_READ, self._open_door)
        for one in self._attachments:
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.wants_to_send else 0)
            wanted[one.socket.fileno()] = (mask, partial(self._serve, one))
        if program.exit is None:
            wanted[program.ended] = (selectors.EVENT_READ, lambda _mask: program.take_exit())
        for stream in program.open_outputs:
            if self._room(stream, now) > 0:
                wanted[program.files[stream]] = (selectors.EVENT_READ, self._serve_program)
        if program.has_input and INPUT in program.files:
            mask, _ = wanted.get(program.files[INPUT], (0, None))
            wanted[program.files[INPUT]] = (mask | selectors.EVENT_WRITE, self._serve_program)
        for descriptor in [fd for fd in self._watched if fd not in wanted]:
            self._forget(descriptor)
        for descriptor, (mask, call) in wanted.items():
            if descriptor not in self._watched:
                self._selector.register(descriptor, mask, call)
            elif self._watched[descriptor] != mask:
                self._selector.modify(descriptor, mask, call)
            self._watched[descriptor] = mask

    def _forget(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None) is not None:
            self._selector.unregister(descriptor)

    def _close(self, descriptor: int | None) -> None:
        if descriptor is not None:
            self._forget(descriptor)
            os.close(descriptor)

    def _room(self, stream: int, now: float) -> int:
        """Bytes that may be read from the program."""
        return self._outputs.room(stream, self._holding, now)

    def _patience(self, now: float) -> float | None:
        """Seconds until something is due by the clock."""
        rests_until = self._outputs.rests_until
        rest = rests_until if rests_until > now else None
        due = [at - now for at in (rest, self._deadline) if at is not None]
        return max(0.0, min(due)) if due else None

    @property
    def _deadline(self) -> float | None:
        """When a session that nobody came back to is given up."""
        if self._attachments or self._keeping is None or self._keeping.timeout is None:
            return None
        return self._alone_since + self._keeping.timeout

    def _check_time(self) -> None:
        now = time.monotonic()
        if (deadline := self._deadline) is not None and now >= deadline:
            raise HangUp
        silent = [one for one in self._holding if one.is_silent]
        if silent and self._outputs.drops and any(
            self._room(stream, now) <= 0 for stream in self._program.open_outputs
        ):  # fmt: skip
            for one in silent:
                self._send_away(one, Reason.LAGGING)

    # ------------------------------------------------------------ the program's side

    def _serve_program(self, mask: int) -> None:
        # A terminal is one descriptor for both ways; pipes are told apart by who is ready, and
        # trying the others costs one call that would block.
        if mask & selectors.EVENT_READ:
            for stream in tuple(self._program.open_outputs):
                room = self._room(stream, time.monotonic())
                if room > 0:
                    self._read(stream, room)
        if mask & selectors.EVENT_WRITE:
            self._write()

    def _read(self, stream: int, room: int) -> None:
        if data := self._program.read(stream, room):
            self._outputs.append(stream, data, self._holding, time.monotonic())

    def _write(self) -> None:
        for client, count in self._program.write().items():
            self._tell_written(client, self._clients.wrote(client, count))
        self._close(self._program.finished_input())

    def _tell_written(self, client: bytes, offset: int) -> None:
        for one in self._attachments:
            if one.start is not None and one.start.client == client:
                one.tell(Consumed(INPUT, offset))

    def _pass_on(self, one: Attachment, stream: int, offset: int, count: int) -> int:
        """Input that nobody has to look at goes from socket to pipe within the kernel."""
        if count < WORTH_SPLICING or stream != INPUT or not one.is_holding or one.start is None:
            return 0
        client = one.start.client
        if offset != self._clients.has_sent(client):
            return 0
        moved = self._program.splice(one.socket.fileno(), count)
        if moved:
            self._tell_written(client, self._clients.passed(client, moved))
        return moved

    # ------------------------------------------------------------ the workers' side

    def _tell_all(self) -> None:
        for one in tuple(self._attachments):
            try:
                if one.is_leaving:
                    one.flush()
                else:
                    one.tell_output(
                        self._outputs.replays, self._program.open_outputs, self._program.exit
                    )
            except LostError:
                self._hear_out(one)

    def _hear_out(self, one: Attachment) -> None:
        """Its worker takes nothing more: what it said last still counts, as Goodbye does. It can
        say no more, else one that stays would have us wait here."""
        with contextlib.suppress(OSError):
            one.socket.shutdown(socket.SHUT_RDWR)
        while one in self._attachments:
            self._serve(one, selectors.EVENT_READ)

    def _trim(self) -> None:
        self._outputs.trim(self._holding)
        for stream, replay in self._outputs.replays.items():
            for one in self._attachments:  # who only watches is not waited for
                if one.start is not None and one.sent(stream) < replay.start:
                    self._send_away(one, Reason.LAGGING)

    def _serve(self, one: Attachment, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                one.flush()
            if mask & selectors.EVENT_READ:
                for message in one.receive(partial(self._pass_on, one)):
                    if not one.is_leaving:
                        self._receive(one, message)
        except (LostError, DecodeError):
            self._lose(one)

    def _lose(self, one: Attachment) -> None:
        """Its worker is gone, or talks nonsense."""
        if one not in self._attachments:
            return
        self._forget(one.socket.fileno())
        one.socket.close()
        self._attachments.remove(one)
        if not self._attachments:
            self._alone_since = time.monotonic()
            if self._keeping is None:
                raise HangUp

    def _send_away(self, one: Attachment, reason: Reason, origin: str = "") -> None:
        if not one.is_leaving:
            one.is_leaving = True
            one.tell(SentAway(reason, origin))

    def _receive(self, one: Attachment, message: Any) -> None:
        if one.start is None and not isinstance(message, Start):
            raise DecodeError("nothing may come before Start")
        match message:
            case Start():
                self._begin(one, message)
            case Consumed() | Acknowledged():
                one.progress(message)
            case Goodbye():
                self._take_leave(one)
            case Silent(is_silent):
                one.is_silent = is_silent
            case _ if one.is_holding and one.start is not None:
                self._obey(one.start.client, message)

    def _obey(self, client: bytes, message: Any) -> None:
        """What only clients may do that do not just watch."""
        program = self._program
        match message:
            case Data(stream, offset, data):
                if stream != INPUT:
                    raise DecodeError("data for an output")
                program.put(client, self._clients.received(client, offset, data, WINDOW))
                self._write()
            case Eof(stream, _) if stream == INPUT:
                program.end_input()
                self._close(program.finished_input())
            case Eof(stream, _):
                self._close(program.refuse(stream))
            case Resize(columns, rows, width_px, height_px):
                program.resize(Size(columns, rows, width_px, height_px))
                self._outputs.resize(columns, rows)
            case Signal(name):
                program.send_signal(name)
            case Break():
                program.send_break()

    def _begin(self, one: Attachment, start: Start) -> None:
        """A client comes, or comes back."""
        if one.start is not None:
            raise DecodeError("a second Start")
        if start.mode == Mode.RESUME and (who := self._clients.may_not_resume(start.client)):
            self._send_away(one, *who)
            return
        for other in self._attachments:
            if other.start is None or other is one:
                continue
            if other.start.client == start.client:
                self._send_away(other, Reason.RESUMED, start.origin)
            elif start.mode == Mode.TAKE_OVER:
                self._send_away(other, Reason.TAKEN_OVER, start.origin)
        if start.mode == Mode.TAKE_OVER:
            self._clients.taken_over(start.client, start.origin)
        is_first = self._clients.is_empty
        input_offset = self._clients.come(start.client)
        drawn = None if is_first else self._outputs.redraw(start.output_offset)
        asked = start if drawn is None else replace(start, output_offset=drawn)
        output, errors = one.begin(asked, self._outputs.replays, self._outputs.history)
        one.tell(Attached(VERSION, input_offset, output, errors))
        if not is_first and output != asked.output_offset:
            self._outputs.restore_modes(output, is_new=start.output_offset == ANY_OFFSET)
            self._program.repaint()  # it does not have the whole screen

    def _take_leave(self, one: Attachment) -> None:
        """The client goes, and the session with it, unless it has a name or other clients."""
        is_last = one.is_holding and len(self._holding) == 1
        one.has_said_goodbye = True
        if one.was_told_exit:
            self._is_heard = True
        elif is_last and (self._keeping is None or not self._keeping.name):
            raise HangUp

    # ------------------------------------------------------------ the door

    def _open_door(self, _mask: int) -> None:
        assert self._door is not None
        knock = self._door.accept()
        if knock is not None:
            with knock:
                self._obey_visitor(knock, *self._door.answer(knock))

    def _obey_visitor(self, knock: socket.socket, wish: object,
                      brought: socket.socket | None) -> None:  # fmt: skip
        match wish:
            case Join() if brought is not None:
                self.adopt(brought)
            case Describe():
                self._describe(knock)
            case End():
                raise HangUp
            case _ if brought is not None:
                brought.close()

    def _describe(self, knock: socket.socket) -> None:
        origins = [one.start.origin for one in self._attachments
                   if one.start is not None and not one.is_leaving]  # fmt: skip
        alone = 0 if origins else int(time.monotonic() - self._alone_since)
        described = Described(self._program.exit is not None, ",".join(origins), alone)
        with contextlib.suppress(OSError):
            knock.send(encode(described))

    def finish(self) -> None:
        """Let everybody hear the end; reap the program."""
        for one in self._attachments:
            if one.was_told_exit or one.is_leaving:
                one.finish()
        self._program.reap()


def run_holder(plan: SessionPlan, worker: socket.socket, terminal: Terminal | None,
               door: Door | None = None) -> NoReturn:
    """Hold one session. Called in a process that is the user's already."""
    status = 255
    try:
        program = start_program(plan, terminal)
        signal.signal(signal.SIGTERM, _hang_up)
        holder = Holder(program, plan, door)
        holder.adopt(worker)
        holder.run()
        holder.finish()
        status = 0
    finally:
        os._exit(status)


def _hang_up(_number: int, _frame: object) -> NoReturn:
    raise HangUp
