"""What the user types in an interactive session: escapes are acted on, the rest goes out.

Reading never waits for the network, so that `~.` works when nothing else does.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.notices import STDERR, show
from qsh.client.session.console import Console
from qsh.client.session.escapes import Action, EscapeScanner
from qsh.errors import NetworkError
from qsh.net.channel import Channel
from qsh.net.inbox import Signal
from qsh.net.splice import open_source
from qsh.net.tasks import cancel, spawn
from qsh.wire.channel_messages import BreakRequest

if TYPE_CHECKING:
    from qsh.client.forwards.command_line import LineTyping
    from qsh.client.session.contact import Contact
    from qsh.client.session.keystroke_timing import KeystrokeTiming
    from qsh.client.session.lasting_channel import LastingChannel

MOST_UNSENT = 1 << 20
"""Bytes typed or pasted that may wait for the network; then reading waits, escapes with it."""
CHAFF = b"\0"
"""As long as a key."""
BREAK_MILLISECONDS = 1000
"""As ssh(1) sends for `~B`."""


class Keys:
    """The user's side of a session with a terminal.

    `disconnect` is called for `~.`, `detach` for `~d`, `resized` after the program was stopped and
    continued, `show` with what the user is to read; `watcher` knows what is on the screen.
    `command` does what a line of `~C` says and gives the answer; without it there is no command
    line. `timing` says when keys leave; without it
    they leave at once.
    """

    def __init__(self, channel: "Channel | LastingChannel", console: Console,
                 escape: bytes | None, *, disconnect: Callable[[], None],
                 detach: Callable[[], None], resized: Callable[[], None],
                 show: Callable[[str], None] = show,
                 command: Callable[[str], Awaitable[str]] | None = None,
                 watcher: "Contact | None" = None,
                 timing: "KeystrokeTiming | None" = None) -> None:
        self._channel = channel
        self._console = console
        self._scanner = EscapeScanner(escape)
        self._resized = resized
        self._show = show
        self._watcher = watcher
        self._command = command
        self._timing = timing
        self._typing: LineTyping | None = None
        self._unsent: deque[bytes] = deque()
        self._changed = Signal()
        self._at_end = False
        self._actions: dict[Action, Callable[[], None]] = {
            Action.DISCONNECT: disconnect,
            Action.COMMAND: self._open_command_line,
            Action.DETACH: detach,
            Action.HELP: self._help,
            Action.LIST: self._list,
            Action.STATUS: self._status,
            Action.SUSPEND: self._suspend,
            Action.BACKGROUND: self._background,
            Action.BREAK: self._break,
            Action.REKEY: lambda: self._show("QUIC renews the keys by itself"),
            Action.MORE_WORDS: lambda: self._talk(1),
            Action.FEWER_WORDS: lambda: self._talk(-1),
        }

    async def run(self) -> None:
        """Read keys until there are no more; then the server gets its EOF."""
        source = open_source(self._console.descriptor)
        if self._watcher is not None:
            self._watcher.typed = self._take
        sending = spawn(self._send(), "typed keys")
        try:
            while not self._at_end and (data := await source.read()):
                self._take(self._watcher.heard(data) if self._watcher is not None else data)
                while sum(map(len, self._unsent)) > MOST_UNSENT:
                    await self._changed.wait()
            self._at_end = True
            self._changed.set_off()
            await sending
        except NetworkError:
            return  # the session tells about it
        finally:
            source.close()
            await cancel(sending)

    def _take(self, data: bytes) -> None:
        if self._typing is not None:
            data = self._type(data, self._typing)
        for part in self._scanner.scan(data):
            if isinstance(part, bytes) and self._typing is not None:
                self._take(part)
            elif isinstance(part, bytes):
                self._unsent.append(part)
            else:
                self._show(f"{chr(self._scanner.character or 0)}{part.shown}")
                self._actions[part]()
        self._changed.set_off()

    async def _send(self) -> None:
        now = asyncio.get_running_loop().time
        while not (self._at_end and not self._unsent):
            when = self._next_sending(now())
            if when is None or when > now():
                await self._changed_or(when)
                continue
            typed = b"".join(self._unsent)
            self._unsent.clear()
            if typed:
                await self._channel.write(typed)
                self._changed.set_off()
            else:
                self._channel.ping(CHAFF)
            if self._timing is not None:
                self._timing.sent(when)
        self._channel.write_eof()

    def _next_sending(self, now: float) -> float | None:
        """When something is to be sent; None while there is nothing."""
        if self._timing is None or (self._unsent and self._at_end):
            return now if self._unsent else None
        if self._unsent:
            return self._timing.typed(sum(map(len, self._unsent)), now)
        return self._timing.chaff_at

    async def _changed_or(self, when: float | None) -> None:
        """Until something was typed, or it is that time."""
        if when is None:
            await self._changed.wait()
            return
        alarm = asyncio.get_running_loop().call_at(when, self._changed.set_off)
        try:
            await self._changed.wait()
        finally:
            alarm.cancel()

    # ------------------------------------------------------------ escapes

    def _help(self) -> None:
        self._show(self._scanner.help())

    def _open_command_line(self) -> None:
        if self._command is None:
            self._show("commandline disabled (EnableEscapeCommandline)")
            return
        from qsh.client.forwards.command_line import PROMPT, LineTyping

        self._typing = LineTyping()
        self._echo(PROMPT)

    def _type(self, data: bytes, typing: "LineTyping") -> bytes:
        """Keys for the command line; those that come after it."""
        shown, rest = typing.take(data)
        self._echo(shown)
        if typing.line is not None:
            self._typing = None
            spawn(self._run_command(typing.line), "command line")
        return rest

    async def _run_command(self, line: str) -> None:
        assert self._command is not None
        if answer := await self._command(line):
            self._show(answer)

    def _echo(self, text: str) -> None:
        if self._watcher is not None:
            self._watcher.tell(text.encode())
        with contextlib.suppress(OSError):
            os.write(STDERR, text.encode())

    def _list(self) -> None:
        connection = self._channel.connection
        stats = connection.stats
        lines = [
            f"Connected to {connection.name} by {connection.engine_name}, "
            f"round trip {stats.smoothed_rtt * 1000:.1f} ms, "
            f"{stats.packets_lost} of {stats.packets_sent} packets lost.",
            "The following channels are open:",
        ]
        for stream_id, channel in sorted(connection.wire.channels.items()):
            lines.append(f"  #{stream_id // 4} {channel.kind} (sending: "
                         f"{channel.sending.name.lower()}, receiving: "
                         f"{channel.receiving.name.lower()})")
        self._show("\n".join(lines))

    def _status(self) -> None:
        from qsh.client.status.status import facts_of, lines_of

        channel = self._channel
        resumptions = 0 if isinstance(channel, Channel) else channel.resumptions
        self._show("\n".join(lines_of(facts_of(channel.connection, resumptions))))

    def _suspend(self) -> None:
        self._console.suspend()
        self._resized()

    def _background(self) -> None:
        """`~&`: the shell that started us has its terminal back; a child of ours types ^D there,
        and lives on until the last forwarded connection has ended."""
        self._console.restore()
        self._show("[backgrounded]")
        loop = asyncio.get_running_loop()
        if os.fork():
            os._exit(0)
        asyncio._set_running_loop(loop)  # which asyncio takes for the parent's alone
        self._unsent.append(b"\4")
        self._at_end = True

    def _break(self) -> None:
        self._channel.send_request(BreakRequest(BREAK_MILLISECONDS))

    def _talk(self, change: int) -> None:
        self._show(f"log level {log.change_level(change).name}")
