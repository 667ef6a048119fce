"""What the client says to its user on standard error beside the log: errors with hints, texts of
several lines, texts that a server chose.

One line each, `qsh: …`; a hint has a line of its own. What a server chose is shown without control
characters, so that it cannot play with the terminal.
"""

import contextlib
import os
from typing import TypeVar

from qsh import log
from qsh.errors import QshError

STDERR = 2
E = TypeVar("E", bound=QshError)

_log = log.logger("client")


def complain(error: BaseException) -> None:
    """Show the error that ends the program, and its notes (PEP 678)."""
    for line in (str(error) or type(error).__name__).splitlines():
        _log.fatal("%s", line)
    for note in getattr(error, "__notes__", []):
        _log.fatal("%s", note)


def with_hint(error: E, hint: str) -> E:
    """The error, with what the user can do about it."""
    error.add_note(f"hint: {hint}")
    return error


def show(text: str, descriptor: int = STDERR, *, is_whole: bool = False) -> None:
    """Write lines that bear no `qsh:`, such as a banner or a warning. Harmless to the terminal,
    in raw mode too. `is_whole` adds no line end at the end: what the server sent comes out byte
    for byte, but for what could play with the terminal. A closed stderr is no error."""
    data = rendered(text, is_terminal=os.isatty(descriptor), is_whole=is_whole)
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data):]


def rendered(text: str, *, is_terminal: bool, is_whole: bool = False) -> bytes:
    """What `show` writes."""
    lines = (text if is_whole else text.removesuffix("\n") + "\n").split("\n")
    shown = [_harmless(line, is_terminal=is_terminal) for line in lines]
    return ("\r\n" if is_terminal else "\n").join(shown).encode()


def _harmless(line: str, *, is_terminal: bool) -> str:
    """Without its carriage return on a terminal, where each line has one anyway."""
    body = line.removesuffix("\r")
    return log.printable(body) + ("" if is_terminal else line[len(body) :])
