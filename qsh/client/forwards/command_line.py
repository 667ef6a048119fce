"""The command line of `~C`: typed in raw mode while the session goes on, as ssh(1) has it.

    -L, -R, -D SPEC    add a forward        -KL, -KR, -KD [ADDRESS:]PORT    end one

`LineTyping` takes keys and gives what to show of them, without I/O; `execute` does what a line
says.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh.errors import QshError

if TYPE_CHECKING:
    from qsh.client.forwards.forwards import Forwards

PROMPT = "qsh> "
HELP = """\
Commands:
  -L[bind_address:]port:host:hostport    Request local forward
  -R[bind_address:]port:host:hostport    Request remote forward
  -D[bind_address:]port                  Request dynamic forward
  -KL[bind_address:]port                 Cancel local forward
  -KR[bind_address:]port                 Cancel remote forward
  -KD[bind_address:]port                 Cancel dynamic forward
(udp/ before a forward makes it one of UDP; paths are Unix sockets.)"""
MAX_LINE = 4096
_END = b"\r\n"
_LEAVE = b"\x03\x04\x1c"  # ^C, ^D, ^\
_ERASE = b"\x08\x7f"
_KILL = b"\x15"  # ^U


class LineTyping:
    """One line while it is typed: erased by backspace and ^U, left by ^C."""

    def __init__(self) -> None:
        self._typed = bytearray()
        self.line: str | None = None
        """The whole line once it is typed; empty if it was left."""

    def take(self, data: bytes) -> tuple[str, bytes]:
        """What to show for these keys, and those that come after the line."""
        shown = ""
        for place, byte in enumerate(data):
            key = bytes((byte,))
            if key in _END or key in _LEAVE:
                text = self._typed.decode(errors="replace")
                self.line = text if key in _END else ""
                return shown + "\r\n", data[place + 1 :]
            if key in _ERASE or key in _KILL:
                shown += self._erase(1 if key in _ERASE else MAX_LINE)
            elif byte >= 32 and len(self._typed) < MAX_LINE:
                self._typed.append(byte)
                shown += chr(byte) if byte < 127 else ""
        return shown, b""

    def _erase(self, count: int) -> str:
        count = min(count, len(self._typed))
        gone = bytes(self._typed[len(self._typed) - count :])
        del self._typed[len(self._typed) - count :]
        return "\b \b" * sum(32 <= byte < 127 for byte in gone)


async def execute(line: str, forwards: "Callable[[], Awaitable[Forwards]]") -> str:
    """Do what a line says; what to answer."""
    words = line.strip().removeprefix("-")
    if not words:
        return ""
    if words.lower() in ("h", "?", "help"):
        return HELP
    is_over = words[0] in "Kk"
    letter, text = words[1:2] if is_over else words[:1], words[2 if is_over else 1 :].strip()
    if letter.upper() not in ("L", "R", "D"):
        return "Invalid command (try: help)."
    from qsh.config import forward_specs

    try:
        if is_over:
            spec = forward_specs.parse_listener(text)
        else:
            parsers = {"L": forward_specs.parse_local, "R": forward_specs.parse_remote,
                       "D": forward_specs.parse_dynamic}  # fmt: skip
            spec = parsers[letter.upper()](text)
    except ValueError as error:
        return f"{error}."
    is_remote = letter.upper() == "R"
    try:
        if is_over:
            await (await forwards()).cancel_forward(spec, is_remote=is_remote)
            return "Canceled forwarding."
        port = await (await forwards()).add_forward(spec, is_remote=is_remote)
    except QshError as error:
        return f"{error}."
    return f"Forwarding port {port}." if port else "Forwarding."
