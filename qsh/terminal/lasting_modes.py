"""What a program has switched in its terminal, as far as that lasts: the alternate screen, a hidden
cursor, keys and mouse that report otherwise. Pure.

Who comes to a terminal's output in the middle has missed the sequences that did it. Only these are
looked for, so that a flood of output costs little.
"""

import re

_SWITCH = re.compile(rb"\x1b(?:\[\?([0-9;]{1,64})([hl])|([=>c]))")
_UNFINISHED = re.compile(rb"\x1b(?:\[(?:\?[0-9;]{0,64})?)?\Z")

ALTERNATE = (b"47", b"1047", b"1049")
KNOWN = frozenset((
    b"1", b"7", b"9", b"25", b"1000", b"1002", b"1003", b"1004", b"1005", b"1006", b"1015",
    b"2004", *ALTERNATE,
))  # fmt: skip
"""DEC's and xterm's private modes that last, and that terminals agree on."""
ON_AT_FIRST = frozenset((b"7", b"25"))
KEYPAD = b"="


class LastingModes:
    """What the bytes fed so far have left."""

    def __init__(self) -> None:
        self._is_on: dict[bytes, bool] = {}
        self._rest = b""

    def copy(self) -> "LastingModes":
        """Another one, to be fed on its own."""
        other = LastingModes()
        other._is_on, other._rest = dict(self._is_on), self._rest
        return other

    def feed(self, data: bytes) -> None:
        """More of the output; sequences may be cut anywhere."""
        if not self._rest and b"\x1b" not in data:
            return
        data = self._rest + data
        for numbers, switch, single in _SWITCH.findall(data):
            if single == b"c":  # a full reset
                self._is_on = {mode: mode in ON_AT_FIRST for mode in self._is_on}
            elif single:
                self._is_on[KEYPAD] = single == b"="
            for mode in KNOWN.intersection(numbers.split(b";")):
                self._is_on[mode] = switch == b"h"
        unfinished = _UNFINISHED.search(data[-80:])
        self._rest = unfinished[0] if unfinished else b""

    def sequences(self, *, is_new: bool) -> bytes:
        """What brings a terminal there: one that `is_new`, or one that has seen a part of it."""
        found = []
        for mode, is_on in self._is_on.items():
            if is_new and is_on is (mode in ON_AT_FIRST):
                continue
            if mode == KEYPAD:
                found.append(b"\x1b=" if is_on else b"\x1b>")
            else:
                found.append(b"\x1b[?%s%s" % (mode, b"h" if is_on else b"l"))
        return b"".join(found)
