"""The kinds of values that keywords take: words of one line to a Python value.

Each reader takes the line's arguments and returns the value, or raises ValueError with what is
wrong; the caller puts file and line in front. `Kind` bundles a reader with how often the keyword
may be given and whether it takes the whole line as it stands.
"""

from collections.abc import Callable
from typing import Any

from qsh.config.patterns import matches_wildcard
from qsh.config.specs import parse_port
from qsh.record import record

Words = tuple[str, ...]


@record
class Kind:
    """How a keyword's arguments become a value."""

    read: Callable[[Words], Any]
    adds: bool = False
    """Every line adds to a tuple; otherwise the first line wins."""
    whole: bool = False
    """The rest of the line as written is the one argument (commands)."""


@record
class AlgorithmList:
    """A list of algorithm patterns, or a change to the defaults (ssh_config(5), `Ciphers`)."""

    change: str = "+"
    """`""` replace, `+` append, `-` remove, `^` put first."""
    patterns: tuple[str, ...] = ()

    def resolve(self, defaults: Words, known: Words | None = None) -> Words:
        """The algorithms meant, in order; `known` are all that can be asked for beyond the
        defaults. Wildcards stand for known names; names that are not known drop out."""
        known = (*defaults, *(n for n in known or () if n not in defaults))
        named = [n for p in self.patterns for n in known if matches_wildcard(p, n)]
        if self.change == "-":
            return tuple(n for n in defaults if n not in named)
        rows = {"": named, "+": [*defaults, *named], "^": [*named, *defaults]}[self.change]
        return tuple(dict.fromkeys(rows))

    def __str__(self) -> str:
        return self.change + ",".join(self.patterns)


@record
class AddKeys:
    """AddKeysToAgent: `no`, `yes`, `ask` first, or `confirm` each use; for how many seconds."""

    when: str = "no"
    lifetime: float = 0.0
    """0 for ever."""


def _one(words: Words) -> str:
    if len(words) != 1:
        raise ValueError("one value is wanted" if not words else f"unexpected {words[1]!r}")
    return words[0]


def read_text(words: Words) -> str:
    """One word that is not empty."""
    if not (word := _one(words)):
        raise ValueError("the value is empty")
    return word


def read_flag(words: Words) -> bool:
    """yes, no, true or false."""
    word = _one(words).lower()
    if word in ("yes", "true"):
        return True
    if word in ("no", "false"):
        return False
    raise ValueError(f"{words[0]!r} is neither yes nor no")


def choice(*names: str, **aliases: str) -> Kind:
    """One of some names, in any case; an alias stands for a name."""
    table = {name.lower(): name for name in names} | aliases

    def read(words: Words) -> str:
        word = _one(words)
        if word.lower() not in table:
            raise ValueError(f"{word!r} is none of {', '.join(names)}")
        return table[word.lower()]

    return Kind(read)


def integer(low: int, high: int = 2**31 - 1) -> Kind:
    """A decimal number within bounds."""

    def read(words: Words) -> int:
        word = _one(words)
        if not (word.isascii() and word.isdecimal() and len(word) < 11):
            raise ValueError(f"{word!r} is not a number")
        if not low <= int(word) <= high:
            raise ValueError(f"{word} is out of range ({low} to {high})")
        return int(word)

    return Kind(read)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_seconds(word: str) -> float:
    """sshd_config(5) TIME FORMATS: `600`, `10m`, `1h30m`. Raises ValueError."""
    total, digits = 0, ""
    for char in word.lower() + ("s" if word[-1:].isdecimal() else ""):
        if char.isascii() and char.isdecimal():
            digits += char
        elif digits and char in _SECONDS:
            total, digits = total + int(digits[:10]) * _SECONDS[char], ""
        else:
            total = -1
            break
    if not word or digits or not 0 <= total < 2**31:
        raise ValueError(f"{word!r} is not a time (write 90, 10m or 1h30m)")
    return float(total)


def read_seconds(words: Words) -> float:
    """A length of time."""
    return parse_seconds(_one(words))


def read_seconds_or_none(words: Words) -> float | None:
    """A length of time; `none` for no limit."""
    return None if _one(words).lower() == "none" else read_seconds(words)


def read_persist(words: Words) -> float | None:
    """`no` (None), `yes` (0: for ever) or a length of time."""
    word = _one(words).lower()
    return {"no": None, "false": None, "yes": 0.0, "true": 0.0}[word] if word in (
        "no", "false", "yes", "true") else parse_seconds(word)  # fmt: skip


def read_port(words: Words) -> int:
    """1 to 65535."""
    return parse_port(_one(words))


def read_port_or_none(words: Words) -> int | None:
    """1 to 65535; `none` for no port."""
    return None if _one(words).lower() == "none" else read_port(words)


def read_ports(words: Words) -> tuple[int, int]:
    """A port, or the first and the last of a range (`60001:60999`); `any` is 0 and 0."""
    word = _one(words)
    if word.lower() == "any":
        return 0, 0
    first, colon, last = word.partition(":")
    ports = parse_port(first), parse_port(last if colon else first)
    if ports[0] > ports[1]:
        raise ValueError(f"{word!r} ends before it begins")
    return ports


def read_path_or_none(words: Words) -> str | None:
    """A path; `none` for no file."""
    return None if _one(words).lower() == "none" else read_text(words)


def read_command_or_none(words: Words) -> str | None:
    """A command, the whole line; `none` for no command."""
    return None if words[0].lower() == "none" else words[0]


def read_words(words: Words) -> Words:
    """One word or more."""
    if not all(words):
        raise ValueError("an empty word")
    return words


def read_words_or_none(words: Words) -> Words:
    """Words; `none` alone for none at all."""
    return () if len(words) == 1 and words[0].lower() == "none" else read_words(words)


def read_comma_list(words: Words) -> Words:
    """Names with commas between them."""
    return tuple(name for name in read_text(words).split(",") if name)


def read_algorithms(words: Words) -> AlgorithmList:
    """A comma list that may start with `+`, `-` or `^`."""
    word = read_text(words)
    change = word[0] if word[0] in "+-^" else ""
    names = tuple(name for name in word[len(change) :].split(",") if name)
    if not names:
        raise ValueError(f"{word!r} names no algorithm")
    return AlgorithmList(change, names)


def read_assignments(words: Words) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE words; the first of one name wins."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"{word!r} is not NAME=VALUE")
        values.setdefault(name, value)
    return tuple(values.items())


def read_escape(words: Words) -> str | None:
    """The character, `^X` for a control character, `none` for none."""
    word = read_text(words)
    if word.lower() == "none":
        return None
    if len(word) == 1 and ord(word) < 256:
        return word
    if len(word) == 2 and word[0] == "^" and 64 <= ord(word[1]) < 128:
        return chr(ord(word[1]) & 31)
    raise ValueError(f"{word!r} is no escape character (one character, ^X or none)")


def read_add_keys(words: Words) -> AddKeys:
    """`yes`, `no`, `ask`, `confirm [time]` or a time."""
    when = {"true": "yes", "false": "no"}.get(words[0].lower(), words[0].lower())
    if when == "confirm" and len(words) == 2:
        return AddKeys(when, parse_seconds(words[1]))
    _one(words)
    return AddKeys(when) if when in ("yes", "no", "ask", "confirm") else AddKeys(
        "yes", parse_seconds(when)
    )


def read_channel_timeouts(words: Words) -> tuple[tuple[str, float], ...]:
    """TYPE=TIME words: how long channels of that type may be idle; `global` for all together."""
    if len(words) == 1 and words[0].lower() == "none":
        return ()
    found = []
    for word in words:
        kind, equals, time = word.partition("=")
        if not (kind and equals):
            raise ValueError(f"{word!r} is not TYPE=TIME")
        found.append((kind, parse_seconds(time)))
    return tuple(found)


def read_user_environment(words: Words) -> str:
    """`yes`, `no` or a list of patterns with commas (PermitUserEnvironment)."""
    word = read_text(words)
    return {"true": "yes", "false": "no"}.get(word.lower(), word)


def read_warnings(words: Words) -> bool:
    """`yes`, `no` or `no-pq-kex`, which is the one warning there is (WarnWeakCrypto)."""
    return _one(words).lower() != "no-pq-kex" and read_flag(words)


KEYSTROKE_INTERVAL = 0.02
"""Seconds: OpenSSH's default of ObscureKeystrokeTiming."""


def read_keystroke_timing(words: Words) -> float:
    """`yes`, `no` (0) or `interval:milliseconds`; the interval in seconds."""
    word = _one(words).lower()
    head, colon, digits = word.partition(":")
    if colon and head == "interval" and digits.isdecimal() and 1 <= int(digits[:5]) <= 1000:
        return int(digits) / 1000
    return KEYSTROKE_INTERVAL if read_flag((word,)) else 0.0


ADD_KEYS = Kind(read_add_keys)
KEYSTROKE_TIMING = Kind(read_keystroke_timing)
ANYTHING = Kind(lambda words: words)
FLAG = Kind(read_flag)
TEXT = Kind(read_text)
PORT = Kind(read_port)
PORTS = Kind(read_ports)
PORT_OR_NONE = Kind(read_port_or_none)
SECONDS = Kind(read_seconds)
SECONDS_OR_NONE = Kind(read_seconds_or_none)
PATH_OR_NONE = Kind(read_path_or_none)
PATHS = Kind(read_words_or_none)
PERSIST = Kind(read_persist)
WORDS = Kind(read_words)
MORE_WORDS = Kind(read_words, adds=True)
COMMAND = Kind(read_text, whole=True)
COMMAND_OR_NONE = Kind(read_command_or_none, whole=True)
CHANNEL_TIMEOUTS = Kind(read_channel_timeouts)
COMMA_LIST = Kind(read_comma_list)
ALGORITHMS = Kind(read_algorithms)
ASSIGNMENTS = Kind(read_assignments)
ESCAPE = Kind(read_escape)
ASK = choice("ask", "yes", "no", true="yes", false="no")
ADDRESS_FAMILY = choice("any", "inet", "inet6")
FACILITY = choice("DAEMON", "USER", "AUTH", "AUTHPRIV", *(f"LOCAL{n}" for n in range(8)))
"""syslog(3)'s, as ssh_config(5) names them."""
LOG_LEVEL = choice("QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG1", "DEBUG2", "DEBUG3",
                   debug="DEBUG1")  # fmt: skip
