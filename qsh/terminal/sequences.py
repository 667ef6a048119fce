"""Where a stream of bytes to a terminal stands: between two sequences, or inside of one.

What is written to a terminal inside of another's escape sequence or character spoils both. Follows
ECMA-48 and the parser of VT500 terminals: ESC ends whatever was open, CAN and SUB do as well.
"""

import re

ESC = b"\x1b"
_STRING = b"\x1bP"
_CANCELLED = re.compile(rb"[\x18\x1a]")
_FINAL = {
    ord("["): re.compile(rb"[\x40-\x7e]"),  # CSI
    ord("]"): re.compile(rb"\x07"),  # OSC, as xterm ends it; or by ESC \
    **dict.fromkeys(b"PX^_k", re.compile(rb"(?!)")),  # DCS, SOS, PM, APC, a title: by ESC \ only
    **dict.fromkeys(b"NO", re.compile(rb"[^\x00-\x1f]")),  # a shift for one character
    **dict.fromkeys(range(0x20, 0x30), re.compile(rb"[\x30-\x7e]")),  # such as a character set
}
"""Second byte of a sequence → what ends it. Sequences of other second bytes end with those."""


class Sequences:
    """Told of all that is written; knows whether something else may be written now."""

    def __init__(self) -> None:
        self._open = b""
        self._last = b""

    def take(self, data: bytes) -> None:
        """These bytes are written."""
        at = data.rfind(ESC)
        if at < 0:
            self._open = _still_open(self._open + data) if self._open else b""
        elif (data[at - 1 : at] if at else self._last[-1:]) == ESC:
            # Passed through to a terminal outside of tmux: only ESC \ ends that.
            self._open = _still_open(_STRING + data[at + 1 :])
        else:
            self._open = _still_open(data[at:])
        self._last = (self._last + data[-3:])[-3:]

    @property
    def is_between(self) -> bool:
        """Whether neither a sequence nor a character of UTF-8 has begun and not ended."""
        return not self._open and not _is_cut(self._last)


def _still_open(sequence: bytes) -> bytes:
    """What has to be remembered of bytes that begin with a sequence; nothing if it has ended."""
    if len(sequence) < 2:
        return sequence
    final = _FINAL.get(sequence[1])
    if final is None or final.search(sequence, 2) or _CANCELLED.search(sequence, 2):
        return b""
    return sequence[:2]


def _is_cut(text: bytes) -> bool:
    """Whether a character of UTF-8 (RFC 3629) lacks its last bytes."""
    for present, byte in enumerate(reversed(text), 1):
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return present < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False
