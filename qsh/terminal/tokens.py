"""A terminal's input in pieces: runs of text, controls, and escape sequences.

Follows the parser of VT500 terminals as far as programs make use of it; what it does not follow
is named `Kind.UNKNOWN`, and nobody should claim to know the screen afterwards.
"""

import codecs
import re
from collections.abc import Iterator
from enum import Enum

MOST_PENDING = 1 << 16
"""Characters of a sequence that has not ended yet: after that it is unknown."""
MOST_DIGITS = 5
"""Of a parameter; larger numbers are the largest of these."""


class Kind(Enum):
    """Of a piece: `TEXT` as it is; `CONTROL` one character; `ESCAPE` what follows ESC; `CSI` and
    `OSC` what is between the introducer and the end, for CSI with its final byte; `STRING` DCS,
    APC, PM, SOS with their introducer."""

    TEXT = "text"
    CONTROL = "control"
    ESCAPE = "escape"
    CSI = "csi"
    OSC = "osc"
    STRING = "string"
    UNKNOWN = "unknown"


_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<csi>[0-?]*[ -/]*[@-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|\x1b\](?P<osc>[^\x07\x1b\x18\x1a\x9c]*)(?:\x07|\x1b\\)"
    r"|\x1b(?P<string>[PX^_k][^\x1b\x18\x1a\x9c]*)\x1b\\"
    r"|\x1b(?P<escape>(?![\[\]PX^_k])[ -/]*[0-~])"
)  # fmt: skip
_UNFINISHED = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\x18\x1a\x9c]*\x1b?|[PX^_k][^\x1b\x18\x1a\x9c]*\x1b?"
    r"|[ -/]*)\Z"
)
_KINDS = {kind.value: kind for kind in Kind}


def number(digits: str) -> int:
    """A parameter's value; 0 for none."""
    digits = digits.lstrip("0")
    return int(digits or 0) if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS - 1


class Tokens:
    """Bytes in, pieces out, however the bytes are cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    @property
    def is_between(self) -> bool:
        """Whether no sequence or character has begun and not ended."""
        return not self._pending and not self._decoder.getstate()[0]

    def take(self, data: bytes) -> Iterator[tuple[Kind, str]]:
        """The pieces that are complete now."""
        text, at = self._pending + self._decoder.decode(data), 0
        self._pending = ""
        match = _TOKEN.match
        while at < len(text):
            found = match(text, at)
            if found is not None:
                name = found.lastgroup
                assert name is not None
                yield _KINDS[name], found[name]
                at = found.end()
            elif _UNFINISHED.match(text, at) and len(text) - at < MOST_PENDING:
                self._pending = text[at:]
                return
            else:
                yield Kind.UNKNOWN, text[at]
                at += 1
