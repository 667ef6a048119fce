"""Sessions over a path that does things: keys that come back, output that is watched, copies."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

from tests.pty_process import PtyProcess


class _Session:
    """A command of the client's with pipes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self._process.communicate()

    def signal(self, number: int) -> None:
        """To the whole client, `ip netns exec` included."""
        os.killpg(self._process.pid, number)

    def read(self, seconds: float) -> bytes:
        """What comes within the time; empty if nothing does."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, seconds)):
                return b""
        return self._process.stdout.read() or b""


class Echo(_Session):
    """A session with `cat`: keys go in, and come back."""

    _number = 0

    def time(self, patience: float) -> float | None:
        """Seconds until a line comes back; None if it does not within `patience`."""
        self._number += 1
        line = b"%d\n" % self._number
        begin = time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        got = b""
        while not got.endswith(line):
            left = begin + patience - time.monotonic()
            if left <= 0:
                return None
            got += self.read(left)
        return time.monotonic() - begin


class Ticker(_Session):
    """A session that prints 1, 2, 3, … and is only watched."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(command, environment)
        self._got = b""

    def run(self, seconds: float) -> None:
        """Wait for the first line, then watch for so long."""
        end = time.monotonic() + 20
        while not self._got and time.monotonic() < end:
            self._got += self.read(1)
        self.longest_gap(seconds)

    def longest_gap(self, seconds: float) -> float:
        """The longest time without output while so many seconds pass."""
        now = last = time.monotonic()
        end, longest = now + seconds, 0.0
        while now < end:
            data = self.read(end - now)
            now = time.monotonic()
            longest = max(longest, now - last)
            if data:
                self._got += data
                last = now
        return longest

    def catch_up(self, seconds: float, patience: float) -> bool:
        """Whether what was printed in so many tenths of a second has come, within `patience`."""
        target, end = self.count + int(seconds * 5), time.monotonic() + patience
        while self.count < target and time.monotonic() < end:
            self._got += self.read(0.5)
        return self.count >= target

    @property
    def count(self) -> int:
        """Lines that have come."""
        return self._got.count(b"\n")

    @property
    def is_complete(self) -> bool:
        """Whether no line is missing or doubled."""
        lines = self._got.split(b"\n")[:-1]
        return lines == [b"%d" % number for number in range(1, len(lines) + 1)]


class Copy:
    """Bytes that go to a program and back, all of them at once, while things happen."""

    def __init__(self, process: "subprocess.Popen[bytes]", data: bytes) -> None:
        self._process = process
        self._data = data
        self._got = bytearray()
        self._has_begun = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True)
                         for work in (self._write, self._read)]  # fmt: skip

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._process.kill()

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what comes back will tell
            self._process.stdin.write(self._data)
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while piece := os.read(self._process.stdout.fileno(), 1 << 16):
            self._got += piece
            self._has_begun.set()

    def begins(self, seconds: float) -> bool:
        """Whether something has come back within that time."""
        return self._has_begun.wait(seconds)

    def finished(self, seconds: float) -> bytes:
        """What came back, once it is all, or so much time has passed."""
        for thread in self._threads:
            thread.join(seconds)
        return bytes(self._got)


LETTERS = "abcdefghij", "klmnopqrst"


class Typing:
    """A terminal on which somebody types, and sees it echoed by the far side."""

    _number = 0

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = PtyProcess(command, environment)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self._process.close()

    def signal(self, number: int) -> None:
        """To the client."""
        os.kill(self._process.pid, number)

    def echo(self, patience: float) -> float | None:
        """Seconds until a word comes back; None if it does not within `patience`."""
        self._number += 1
        # No letter where the word before had it: mosh draws only what is another.
        letters = LETTERS[self._number % 2]
        word = "".join(letters[int(digit)] for digit in f"{self._number:04}")
        begin = time.monotonic()
        already = len(self._process.output)
        self._process.write(word + "\r")
        is_back = self._process.read_until(
            lambda: word.encode() in self._process.output[already:], patience)
        return time.monotonic() - begin if is_back else None

    def says(self, word: str, seconds: float) -> bool:
        """Whether this comes within that time."""
        return self._process.read_until(lambda: word.encode() in self._process.output, seconds)

    def watch(self, seconds: float) -> float:
        """The longest time without a new number on the screen while so many seconds pass."""
        now = last = time.monotonic()
        end, longest, seen = now + seconds, 0.0, len(self._process.output)
        while now < end:
            self._process.read(min(0.05, end - now))
            now = time.monotonic()
            longest = max(longest, now - last)
            if re.search(rb"\d", self._process.output[seen:]):
                seen, last = len(self._process.output), now
        return longest
