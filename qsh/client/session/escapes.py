"""Escape sequences such as `~.`: found in what the user types, without any I/O.

As in ssh(1): an escape counts only as the first thing on a line, and only where a terminal was
asked for. What is no escape passes through unchanged.
"""

from enum import Enum

NEWLINES = b"\r\n"


class Action(Enum):
    """What an escape asks for; the value is the byte after the escape character."""

    DISCONNECT = b"."
    COMMAND = b"C"
    DETACH = b"d"
    HELP = b"?"
    LIST = b"#"
    STATUS = b"s"
    SUSPEND = b"\x1a"
    BACKGROUND = b"&"
    REKEY = b"R"
    BREAK = b"B"
    MORE_WORDS = b"v"
    FEWER_WORDS = b"V"

    @property
    def shown(self) -> str:
        """The byte as a user writes it."""
        return "^Z" if self is Action.SUSPEND else self.value.decode()


MEANINGS = {
    Action.DISCONNECT: "terminate the connection",
    Action.DETACH: "leave, and let the session go on",
    Action.BREAK: "send a BREAK to the remote system",
    Action.COMMAND: "open a command line",
    Action.REKEY: "ask for new keys (QUIC makes them by itself)",
    Action.FEWER_WORDS: "say less (as with fewer -v)",
    Action.MORE_WORDS: "say more (as with more -v)",
    Action.SUSPEND: "suspend qsh",
    Action.BACKGROUND: "log out, and serve forwarded connections in the background",
    Action.LIST: "list the open channels",
    Action.STATUS: "tell how the connection is: round trip, loss, path, bytes, moves",
    Action.HELP: "this message",
}


class EscapeScanner:
    """Splits typed bytes into bytes for the server and actions for the client.

    `character` is the escape character; None makes everything pass (EscapeChar none).
    """

    def __init__(self, character: bytes | None = b"~") -> None:
        self.character = character[0] if character else None
        self._at_line_start = True
        self._pending = False

    def scan(self, data: bytes) -> list[bytes | Action]:
        """The parts of `data` in order. An escape may be cut in two by the reads. What comes after
        COMMAND is not looked at: the last part, if there is any."""
        if self.character is None:
            return [data] if data else []
        parts: list[bytes | Action] = []
        plain = bytearray()
        for place, byte in enumerate(data):
            action = self._step(byte, plain)
            if action is not None:
                if plain:
                    parts.append(bytes(plain))
                    plain.clear()
                parts.append(action)
                if action is Action.COMMAND:
                    return [*parts, data[place + 1 :]] if data[place + 1 :] else parts
        if plain:
            parts.append(bytes(plain))
        return parts

    def _step(self, byte: int, plain: bytearray) -> Action | None:
        if self._pending:
            self._pending = False
            try:
                # The line is still at its start, so that `~?` may be followed by `~.`.
                return Action(bytes([byte]))
            except ValueError:
                pass
            if byte != self.character:
                plain.append(self.character or 0)
        elif self._at_line_start and byte == self.character:
            self._pending = True
            return None
        plain.append(byte)
        self._at_line_start = byte in NEWLINES
        return None

    def help(self) -> str:
        """The text of `~?`, lines ending in CR LF for a terminal in raw mode."""
        shown = chr(self.character) if self.character is not None else ""
        lines = ["Supported escape sequences:"]
        lines += [f" {shown}{action.shown:<3}- {text}" for action, text in MEANINGS.items()]
        lines.append(f" {shown}{shown}  - send the escape character by typing it twice")
        lines.append("(Escapes are recognized only at the start of a line.)")
        return "".join(f"{line}\r\n" for line in lines)
