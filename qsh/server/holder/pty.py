"""A session's terminal: allocation, modes, size."""

import contextlib
import fcntl
import os
import struct
import termios
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.terminal.modes import apply_modes, decode_modes

MAX_SIZE = 0xFFFF
"""The kernel counts columns, rows and pixels in 16 bits."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Both ends, as descriptors, and the name of the device."""

    master: int
    slave: int
    name: str

    def close(self) -> None:
        """Close both ends in this process."""
        for descriptor in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a terminal's window; 0 for unknown."""

    columns: int
    rows: int
    width_px: int = 0
    height_px: int = 0


def open_terminal(size: Size, modes: bytes = b"") -> Terminal:
    """A new terminal, with modes as in RFC 4254 section 8. It belongs to the process's effective
    user (devpts(5)), so call this with the user's rights. Raises OSError."""
    master, slave = os.openpty()
    try:
        resize(master, size)
        _set_modes(slave, modes)
        return Terminal(master, slave, os.ttyname(slave))
    except BaseException:
        os.close(master)
        os.close(slave)
        raise


def _set_modes(slave: int, modes: bytes) -> None:
    """A client's odd modes are no reason to refuse it a terminal: what cannot be set is not."""
    with contextlib.suppress(DecodeError, termios.error, TypeError, ValueError):
        attributes = apply_modes(decode_modes(modes), termios.tcgetattr(slave), termios)
        termios.tcsetattr(slave, termios.TCSANOW, attributes)


def resize(descriptor: int, size: Size) -> None:
    """Set the window's size; its foreground processes get SIGWINCH. Raises OSError."""
    numbers = (size.rows, size.columns, size.width_px, size.height_px)
    packed = struct.pack("HHHH", *(min(number, MAX_SIZE) for number in numbers))
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, packed)
