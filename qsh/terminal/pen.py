"""What a terminal writes with: colours and attributes (SGR, ECMA-48 section 8.3.117, and what
xterm, kitty and ISO 8613-6 added) and hyperlinks (OSC 8), kept as the text that sets them again.
"""

from qsh.terminal.tokens import number

_GROUPS = {
    "weight": (1, 2), "slant": (3, 20), "underline": (4, 21), "blink": (5, 6), "inverse": (7,),
    "hidden": (8,), "strike": (9,), "font": range(10, 20), "spacing": (26,), "frame": (51, 52),
    "overline": (53,), "script": (73, 74), "ink": (*range(30, 39), *range(90, 98)),
    "paper": (*range(40, 49), *range(100, 108)), "line": (58,),
}  # fmt: skip
_SETS = {code: group for group, codes in _GROUPS.items() for code in codes}
_ENDS = {
    10: ("font",), 22: ("weight", "faint"), 23: ("slant",), 24: ("underline",), 25: ("blink",),
    27: ("inverse",), 28: ("hidden",), 29: ("strike",), 39: ("ink",), 49: ("paper",),
    50: ("spacing",), 54: ("frame",), 55: ("overline",), 59: ("line",), 75: ("script",),
}  # fmt: skip
_EXTENDED = ("38", "48", "58")
_LENGTHS = {"5": 3, "2": 5}
"""Parameters of an extended colour, by the second: an index, or red, green and blue."""

LONGEST_ATTRIBUTE = 32
"""Characters; a colour has some 20. Longer ones are none."""
LONGEST_LINK = 2083
"""As VTE has it: longer ones are none."""
PLAIN = "\x1b[0m"
NO_LINK = "\x1b]8;;\x1b\\"


class Pen:
    """Attributes in force. `text` sets them, from whatever was in force; `paper` sets those that
    an erased cell has."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._link = ""
        self.text = self.paper = PLAIN

    def select(self, parameters: str) -> None:
        """SGR with these parameters."""
        words, at = parameters.split(";"), 0
        while at < len(words):
            code, end = words[at].partition(":")[0], at + 1
            if words[at] in _EXTENDED and end < len(words):
                end = at + _LENGTHS.get(words[end], len(words))
            self._set(number(code) if code.isdigit() else 0, ";".join(words[at:end]))
            at = end
        self._render()

    def link(self, address: str) -> None:
        """OSC 8 with these parameters and this address; `;` ends it."""
        is_end = address.endswith(";") and address.count(";") == 1
        self._link = "" if is_end or len(address) > LONGEST_LINK else address
        self._render()

    def copy(self) -> "Pen":
        """One that goes its own way."""
        other = Pen()
        other._values, other._link = dict(self._values), self._link
        other._render()
        return other

    def _set(self, code: int, text: str) -> None:
        if code == 0:
            self._values.clear()
        elif text == "4:0":
            self._values.pop("underline", None)
        elif code in _SETS and len(text) <= LONGEST_ATTRIBUTE:
            group = "faint" if code == 2 else _SETS[code]  # beside bold, in most terminals
            self._values[group] = text
        for group in _ENDS.get(code, ()):
            self._values.pop(group, None)

    def _render(self) -> None:
        paper = self._values.get("paper")
        self.paper = f"\x1b[0;{paper}m" if paper else PLAIN
        self.text = f"\x1b[0;{';'.join(self._values.values())}m" if self._values else PLAIN
        if self._link:
            self.text += f"\x1b]8;{self._link}\x1b\\"
