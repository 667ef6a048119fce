"""What a keyword is: its value, its place in the settings, and what qsh makes of it.

The tables of client_keywords and server_keywords are the one source: the reader, the man pages'
test and the compatibility table all go by them.
"""

from collections.abc import Iterable
from enum import Enum

from qsh.config.values import ANYTHING, TEXT, Kind
from qsh.record import record


class Effect(Enum):
    """What qsh does with a keyword."""

    WORKS = "works"
    NONE = "accepted without effect"
    NOT_YET = "not supported yet"


@record
class Keyword:
    """One keyword of a configuration file."""

    name: str
    effect: Effect
    kind: Kind = TEXT
    field: str = ""
    """Name in the settings; empty where the keyword has no value there."""
    reason: str = ""
    """Why it has no effect, or is refused."""
    harmless: tuple[str, ...] = ()
    """Of a keyword that is not supported yet: values that ask for what qsh does anyway."""
    shipped: bool = False
    """Distributions set it in the system-wide file: there it may ask in vain."""


def works(name: str, field: str = "", kind: Kind = TEXT) -> Keyword:
    """A keyword that does what its manual says."""
    return Keyword(name, Effect.WORKS, kind, field)


def without_effect(reason: str, *names: str) -> list[Keyword]:
    """Keywords that are read and then change nothing, for one reason."""
    return [Keyword(name, Effect.NONE, ANYTHING, reason=reason) for name in names]


def not_yet(name: str, reason: str, *harmless: str) -> Keyword:
    """A keyword that is refused unless it asks for one of the values in `harmless`."""
    return Keyword(name, Effect.NOT_YET, ANYTHING, reason=reason, harmless=harmless)


@record
class Table:
    """All keywords of one kind of file."""

    rows: tuple[Keyword, ...]
    by_name: dict[str, Keyword]
    """By the name in lower case; other names of the same keyword lead to the same row."""
    others: dict[str, str]
    """Other name → the keyword it stands for."""


def table(rows: Iterable[Keyword], others: dict[str, str]) -> Table:
    """A table, with other (older) names for some rows."""
    rows = tuple(rows)
    by_name = {row.name.lower(): row for row in rows}
    by_name.update({other.lower(): by_name[name.lower()] for other, name in others.items()})
    return Table(rows, by_name, others)
