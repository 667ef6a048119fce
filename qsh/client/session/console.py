"""The user's terminal: raw mode and back, its size, and stopping like any other program.

Whatever raw mode changed is put back by `restore`, which may be called at any time and any number
of times; a fatal signal or an exception must lead to it. No asyncio here.
"""

import contextlib
import fcntl
import os
import signal
import struct
import termios

from qsh.record import record

INPUT = 0
IFLAG, OFLAG, CFLAG, LFLAG, ISPEED, OSPEED, CC = range(7)

TermiosAttributes = list[int | list[bytes | int]]
"""What termios.tcgetattr gives: four flag words, two speeds, the control characters."""


@record
class WindowSize:
    """Of a terminal. 0 where it does not know."""

    columns: int = 0
    rows: int = 0
    width_px: int = 0
    height_px: int = 0


class Interrupted(Exception):  # noqa: N818  (no error: the user's own wish)
    """The signal `number` ended the program before its work had begun."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def die_of(number: int) -> int:
    """End as the signal would have ended us, so that a shell's loop stops at ^C. Gives the exit
    status for where the signal is blocked."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


class Console:
    """The terminal on a file descriptor (standard input, as with ssh)."""

    def __init__(self, descriptor: int = INPUT) -> None:
        self.descriptor = descriptor
        self._saved: TermiosAttributes | None = None

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self.descriptor)

    @property
    def is_raw(self) -> bool:
        """Raw mode was asked for and not given back yet."""
        return self._saved is not None

    def attributes(self) -> TermiosAttributes | None:
        """The modes as they were before raw mode; None without a terminal."""
        if self._saved is not None:
            return self._saved
        try:
            return termios.tcgetattr(self.descriptor)
        except termios.error:
            return None

    def size(self) -> WindowSize:
        """The window's size now; zeros if this is no terminal."""
        try:
            packed = fcntl.ioctl(self.descriptor, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return WindowSize()
        rows, columns, width_px, height_px = struct.unpack("HHHH", packed)
        return WindowSize(columns, rows, width_px, height_px)

    def make_raw(self) -> None:
        """Pass every key on as it is. Without effect if this is no terminal."""
        attributes = self.attributes()
        if attributes is None:
            return
        self._saved = attributes
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, raw(attributes))

    def restore(self) -> None:
        """Give the terminal back as it was."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        # A background process that changes the modes is stopped by SIGTTOU, and would then
        # never end.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, saved)
        finally:
            signal.signal(signal.SIGTTOU, before)

    def suspend(self) -> None:
        """Stop, as ^Z does; returns when the user brings the program back."""
        was_raw = self.is_raw
        self.restore()
        os.kill(0, signal.SIGTSTP)  # the whole job, as the terminal would
        if was_raw:
            self.make_raw()

    def resume(self) -> None:
        """The process was continued: another program may have left its modes, so set ours anew."""
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, raw(self._saved))


def raw(attributes: TermiosAttributes) -> TermiosAttributes:
    """The modes ssh(1) sets while it passes keys through: no echo, no signals, no translation."""
    modes = [*attributes]
    modes[IFLAG] = _flags(modes, IFLAG) | termios.IGNPAR
    modes[IFLAG] = _flags(modes, IFLAG) & ~(
        termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
        | termios.IXON | termios.IXANY | termios.IXOFF | getattr(termios, "IUCLC", 0)
    )
    modes[LFLAG] = _flags(modes, LFLAG) & ~(
        termios.ISIG | termios.ICANON | termios.ECHO | termios.ECHOE
        | termios.ECHOK | termios.ECHONL | termios.IEXTEN
    )
    modes[OFLAG] = _flags(modes, OFLAG) & ~termios.OPOST
    characters = modes[CC]
    assert isinstance(characters, list)
    characters = [*characters]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    modes[CC] = characters
    return modes


def _flags(attributes: TermiosAttributes, word: int) -> int:
    value = attributes[word]
    assert isinstance(value, int)
    return value
