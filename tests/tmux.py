"""A terminal as a user has it: one tmux pane, into which tests type and whose screen they read."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Tmux:
    """A tmux server of its own, at `socket`, with one window."""

    def __init__(self, socket: Path, columns: int = 80, rows: int = 24) -> None:
        self._socket = socket
        self._size = (columns, rows)

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a command in the pane; the pane stays when it ends, and says how it ended."""
        columns, rows = self._size
        settings = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        wrapped = ["sh", "-c", '"$@"; echo "[ended $?]"; exec sleep 600', "sh", *command]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   *settings, *wrapped)  # fmt: skip

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments], check=check, text=True,
            stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout

    def type(self, text: str) -> None:
        """Type characters as they are."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, C-c, Escape, Up."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def painted(self) -> str:
        """The screen with its colours and attributes, and where the cursor is."""
        place = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y} #{pane_in_mode}")
        return self._tmux("capture-pane", "-p", "-e") + place

    def wait_for(self, pattern: str, seconds: float = 15.0) -> str:
        """The screen, once a regular expression is found on it; AssertionError with it if never."""
        end = time.monotonic() + seconds
        while not re.search(pattern, screen := self.screen, re.MULTILINE):
            assert time.monotonic() < end, f"{pattern!r} did not appear on:\n{screen.rstrip()}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        self._tmux("kill-server", check=False)
        self._socket.unlink(missing_ok=True)
