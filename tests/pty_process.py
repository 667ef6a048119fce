"""A program on a pseudo-terminal, its output as text: for prompts and for timing tools."""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

TIOCGPTN = 0x80045430


class PtyProcess:
    """A command on a new pty of the given size."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *,
                 columns: int = 80, rows: int = 24) -> None:  # fmt: skip
        self.output = b""
        self._status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self._size(0, columns, rows)  # right before the command looks at it
            try:
                os.execvpe(command[0], command, {"TERM": "xterm-256color", **env})
            finally:
                os._exit(127)

    @staticmethod
    def _size(fd: int, columns: int, rows: int) -> None:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    @property
    def terminal_name(self) -> str:
        """The device that the command has as its terminal."""
        (number,) = struct.unpack("I", fcntl.ioctl(self.fd, TIOCGPTN, bytes(4)))
        return f"/dev/pts/{number}"

    def resize(self, columns: int, rows: int) -> None:
        self._size(self.fd, columns, rows)

    @property
    def text(self) -> str:
        """All output so far, line ends as on Unix."""
        return self.output.decode(errors="replace").replace("\r\n", "\n")

    def read(self, timeout: float) -> bool:
        """Wait at most `timeout` for output; False once the pty is closed."""
        if not select.select([self.fd], [], [], max(0.0, timeout))[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        self.output += data
        return bool(data)

    def read_until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Read until the condition holds; whether it came to hold in time."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or not self.read(min(left, 0.05)):
                return bool(condition())
        return True

    def expect(self, pattern: str, seconds: float = 15.0) -> "re.Match[str]":
        """Wait for a regular expression in the output; AssertionError with the output if never."""
        self.read_until(lambda: re.search(pattern, self.text, re.MULTILINE), seconds)
        found = re.search(pattern, self.text, re.MULTILINE)
        assert found, f"{pattern!r} did not appear in:\n{self.text}"
        return found

    def write(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def line_mode(self) -> bool:
        """Whether the terminal is in line mode with echo: not raw."""
        wanted = termios.ICANON | termios.ECHO
        return termios.tcgetattr(self.fd)[3] & wanted == wanted

    def echoes(self) -> bool:
        """Whether typed characters are shown by the terminal."""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def poll(self) -> int | None:
        """Exit status (negative: by that signal), or None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, seconds: float = 15.0) -> int:
        """Its exit status, with all that it wrote read; AssertionError if it does not end."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            if not self.read(0.05):
                time.sleep(0.01)
        assert self._status is not None, f"still running after {seconds} s:\n{self.text}"
        while select.select([self.fd], [], [], 0)[0] and self.read(0):
            pass
        return self._status

    def close(self) -> None:
        """End the command: hang up, then terminate, then kill."""
        os.close(self.fd)
        for sign in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + 0.5
            while self.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            if self._status is not None:
                return
            os.kill(self.pid, sign)
        os.waitpid(self.pid, 0)

    def __enter__(self) -> "PtyProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
