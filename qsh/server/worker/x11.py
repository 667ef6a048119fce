"""What a session is told of its display: DISPLAY, and the cookie for xauth(1), as sshd does."""

import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.server.monitor.messages import X11Grant
from qsh.wire.codec import decode_body

MAX_TEXT = 1024
_PUNCTUATION = frozenset(".:/-_")
XAUTH_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class X11Session:
    """The display of one session."""

    display: str
    """DISPLAY: `localhost:10.0`."""
    entry: str
    """Under which name xauth keeps the cookie: `unix:10.0`."""
    protocol: str
    cookie: str
    """In hexadecimal. Made up by the client: worth nothing but through this forward."""
    xauth: str
    """Path of the program."""

    @property
    def for_rc(self) -> bytes:
        """What sshrc gets as its input (sshd(8), SSHRC)."""
        return f"{self.protocol} {self.cookie}\n".encode()


def is_plain(text: str) -> bool:
    """Whether xauth takes the text as one word, and no commands (sshd's xauth_valid_string)."""
    return 0 < len(text) <= MAX_TEXT and all(
        c.isascii() and (c.isalnum() or c in _PUNCTUATION) for c in text
    )


def plan_x11(grant: bytes, *, uses_localhost: bool, xauth: str) -> X11Session | None:
    """From the worker's word for a display that the opener made; None for none. Raises
    DecodeError."""
    if not grant:
        return None
    given = decode_body(X11Grant, grant)
    if not (is_plain(given.protocol) and is_plain(given.cookie)):
        raise DecodeError("an X11 cookie that is none")
    end = f":{given.display}.{given.screen}"
    host = "localhost" if uses_localhost else socket.gethostname()
    entry = "unix" if uses_localhost else host
    return X11Session(host + end, entry + end, given.protocol, given.cookie, xauth)


def enter_cookie(x11: X11Session, environment: Mapping[str, str]) -> None:
    """Have xauth put the cookie where the user's applications look for it. Raises OSError.

    It is heard only if it fails, since it mentions a file that it makes."""
    lines = f"remove {x11.entry}\nadd {x11.entry} {x11.protocol} {x11.cookie}\n"
    try:
        done = subprocess.run(
            [x11.xauth, "-q", "-"], input=lines.encode(), env=environment,
            capture_output=True, check=False, timeout=XAUTH_TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(0, "it does not end") from None
    if done.returncode:
        raise OSError(0, done.stderr.decode(errors="replace").strip())


def can_run(program: str) -> bool:
    """Whether there is such a program for us."""
    return os.access(program, os.X_OK)
