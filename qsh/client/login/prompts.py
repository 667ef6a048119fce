"""Every question to the user: over /dev/tty, or by an askpass program, or not at all.

Answers are read by the event loop, so that the connection lives on while somebody types. Whatever
ends the question, ^C included, gives the terminal its echo back.
"""

import contextlib
import os
import termios
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from qsh.client.login.askpass import Askpass
from qsh.client.login.askpass import CannotAskError as CannotAskError

if TYPE_CHECKING:
    from asyncio import Future

TERMINAL = "/dev/tty"
INCAPABLE = frozenset(("", "dumb", "unknown"))
"""TERM of what moves no cursor: a line is then read as the terminal gives it."""
LONGEST_ANSWER = 4096
"""Bytes; what a terminal's line discipline holds of one line."""


class Prompter(Protocol):
    """Whoever answers questions."""

    async def ask(self, prompt: str, *, echo: bool = False) -> str:
        """One line of answer, without its end. Raises CannotAskError."""

    async def confirm(self, question: str) -> bool:
        """Whether the user permits something. Raises CannotAskError."""


class UserPrompter:
    """Asks the person at the terminal, or through SSH_ASKPASS as ssh(1) does.

    `batch` (BatchMode) refuses every question.
    """

    def __init__(self, *, batch: bool, environment: Mapping[str, str] = os.environ,
                 terminal: str = TERMINAL) -> None:
        self.batch = batch
        self.environment = environment
        self.terminal = terminal
        self._askpass = Askpass(environment)

    async def ask(self, prompt: str, *, echo: bool = False) -> str:
        """One line of answer. Raises CannotAskError."""
        if self.batch:
            raise CannotAskError("BatchMode forbids questions")
        if self._askpass.goes_first:
            return await self._askpass.ask(prompt)
        try:
            descriptor = os.open(self.terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            if self._askpass.may_ask:
                return await self._askpass.ask(prompt)
            raise CannotAskError("there is no terminal to ask the user at") from None
        try:
            if echo and self._can_edit():
                return await self._edit(prompt)
            return await ask_terminal(descriptor, prompt, echo=echo)
        finally:
            os.close(descriptor)

    async def confirm(self, question: str) -> bool:
        """Whether the user permits something: a program asks wherever one may, as with ssh(1),
        since the terminal may be busy. Raises CannotAskError."""
        if self._askpass.may_ask and not self.batch:
            return await self._askpass.confirm(question)
        answer = await self.ask(f"{question} (yes/no): ", echo=True)
        return answer.strip().lower() in ("", "y", "yes")

    def _can_edit(self) -> bool:
        return self.environment.get("TERM", "") not in INCAPABLE

    async def _edit(self, prompt: str) -> str:
        from qsh.client.login.line_editor import edit_line

        try:
            return await edit_line(self.terminal, prompt, self.environment["TERM"])
        except EOFError:
            raise CannotAskError("no answer") from None


async def ask_terminal(descriptor: int, prompt: str, *, echo: bool) -> str:
    """Show the prompt and read a line. Raises CannotAskError at the end of input."""
    with _echo(descriptor, echo):
        os.write(descriptor, prompt.encode(errors="replace"))
        try:
            line = await _read_line(descriptor)
        finally:
            if not echo:
                os.write(descriptor, b"\n")
    if not line:
        raise CannotAskError("no answer")
    return line.rstrip(b"\r\n").decode(errors="replace")


@contextlib.contextmanager
def _echo(descriptor: int, echo: bool) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    during = termios.tcgetattr(descriptor)
    during[3] |= termios.ICANON | termios.ISIG
    during[3] = during[3] | termios.ECHO if echo else during[3] & ~termios.ECHO
    # TCSAFLUSH drops what was typed before a secret was asked for, as getpass does.
    termios.tcsetattr(descriptor, termios.TCSADRAIN if echo else termios.TCSAFLUSH, during)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _settle(future: "Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _read_line(descriptor: int) -> bytes:
    import asyncio

    loop = asyncio.get_running_loop()
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST_ANSWER:
        ready = loop.create_future()
        loop.add_reader(descriptor, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        with contextlib.suppress(BlockingIOError):
            data = os.read(descriptor, LONGEST_ANSWER)
            if not data:
                break
            line += data
    return line
