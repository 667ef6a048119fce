"""Shows the user of a terminal that nothing is heard: on the last row of the screen where what
stands there is known (last_row.py), else in the window's title (notice.py).
"""

import asyncio
import contextlib
import os
import select
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.session.console import Console
from qsh.client.session.last_row import QUESTION, LastRow, can_be_asked, without_answer
from qsh.client.session.notice import Notice, Title, has_titles
from qsh.net.channel import Channel
from qsh.net.splice import Sink, open_sink
from qsh.terminal.sequences import Sequences

if TYPE_CHECKING:
    from qsh.client.session.lasting_channel import LastingChannel

ANSWER_TIME = 0.5
"""Seconds in which a terminal says where its cursor is, or is taken for one that does not."""
HOLD = 0.1
"""Seconds for the rest of an answer that has begun."""


def can_show(environment: Mapping[str, str]) -> bool:
    """Whether there is a place for a notice on such a terminal."""
    return has_titles(environment) or can_be_asked(environment)


class Contact:
    """Is the sink of the session's output, so that both take turns on the terminal `descriptor`.
    Nothing is shown while the terminal is not `console`'s. `typed` takes input that was held
    back because it began like the terminal's answer."""

    def __init__(self, channel: "Channel | LastingChannel", console: Console, descriptor: int,
                 host: str, escape: bytes | None, environment: Mapping[str, str]) -> None:
        self._channel = channel
        self._console = console
        self._descriptor = descriptor
        self._notice = Notice(escape)
        size = console.size()
        self._may_ask = can_be_asked(environment) and size.columns > 1 and size.rows > 1
        self._row = LastRow(max(size.columns, 2), max(size.rows, 2))
        self._title = Title(host) if has_titles(environment) else None
        self.typed: Callable[[bytes], None] = lambda _data: None
        self._output = Sequences()
        self._sink: Sink = open_sink(descriptor)
        self._is_writing = False
        self._text = ""
        self._question = Question()
        self._held = b""
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look at the connection for as long as the session lasts."""
        with log.told_before_stderr(self.tell):
            while True:
                self._look()
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._notice.wait):
                        await self._changed.wait()

    def hide(self) -> None:
        """Put back what the notice has replaced."""
        self._text = ""
        self._put(self._row.hide())
        if self._title is not None:
            self._put(self._title.hide())

    def tell(self, data: bytes) -> None:
        """The program itself is about to write this to the terminal."""
        self.hide()
        self._question.outdate()
        self._row.passed(data)

    async def write(self, data: bytes) -> None:
        """The server's output: see Sink."""
        self.hide()
        self._output.take(data)
        self._question.outdate()
        self._row.passed(data)
        self._is_writing = True
        await self._sink.write(data)
        self._is_writing = False

    def close(self) -> None:
        """See Sink."""
        self.hide()
        self._sink.close()

    def resized(self) -> None:
        """The window has another size."""
        size = self._console.size()
        if size.columns > 1 and size.rows > 1:
            self._row.resized(size.columns, size.rows)
            if self._row.is_stranded:
                self._ask()

    def lose(self) -> None:
        """Others have had the terminal."""
        self._row.lose()

    def heard(self, data: bytes) -> bytes:
        """Input from the terminal, without its answer to our question."""
        if not self._question.is_open:
            return data
        rest, answer, self._held = without_answer(self._held + data)
        if answer is not None:
            if self._question.answer():
                self._put(self._row.answered(*answer))
            self._changed.set()
        elif self._held:
            asyncio.get_running_loop().call_later(HOLD, self._release, self._held)
        return rest

    def _release(self, held: bytes) -> None:
        if held == self._held:
            self._held = b""
            self.typed(held)

    # ------------------------------------------------------------ showing

    def _look(self) -> None:
        channel = self._channel
        vigil, now = channel.connection.vigil, channel.connection.now()
        is_away = not isinstance(channel, Channel) and not channel.is_attached
        text = self._notice.look(now, vigil.silence, vigil.since_heard, is_away=is_away)
        if self._is_writing or not self._console.is_raw or not self._is_writable():
            return
        if not text:
            self.hide()
        elif text != self._text and self._output.is_between:
            self._show(text, now)

    def _show(self, text: str, now: float) -> None:
        title = self._title
        is_in_title = title is not None and title.is_shown
        if self._may_ask and not is_in_title and not self._row.is_shown:
            if not self._question.was_put:
                self._ask()
            if self._question.is_awaited(now):
                return
        shown = ""
        if self._row.is_shown or (self._question.is_answered and not is_in_title):
            shown = self._row.show(text)
        if not shown and title is not None:
            shown = title.show(text)
        self._put(shown)
        self._text = text

    def _ask(self) -> None:
        if self._may_ask and self._question.put(self._channel.connection.now()):
            self._put(QUESTION)

    def _is_writable(self) -> bool:
        return bool(select.select([], [self._descriptor], [], 0)[1])

    def _put(self, text: str) -> None:
        if text:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, text.encode(errors="replace"))


class Question:
    """Put to the terminal: where its cursor is. A terminal that does not answer is asked once."""

    def __init__(self) -> None:
        self._at = 0.0
        self.is_open = False
        """It was put, and nothing has come."""
        self.was_put = False
        """Since the last output."""
        self.is_answered = False
        """And nothing was written since."""

    def put(self, now: float) -> bool:
        """Whether it may be put now."""
        self.was_put = True
        if self.is_open:
            return False
        self._at, self.is_open, self.is_answered = now, True, False
        return True

    def is_awaited(self, now: float) -> bool:
        """Whether its answer may still come in time."""
        return self.is_open and now - self._at < ANSWER_TIME

    def outdate(self) -> None:
        """Something is written: what the terminal says about before is of no use."""
        self.was_put = self.is_answered = False

    def answer(self) -> bool:
        """It has come; whether it is of use."""
        self.is_open, self.is_answered = False, self.was_put
        return self.is_answered
