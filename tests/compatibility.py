"""COMPATIBILITY.md: what becomes of each option and keyword of OpenSSH, from the code's own tables.

    python -m tests.compatibility     writes the page anew, and the shells' completion

`tests/unit/test_compatibility.py` fails while the page differs from the tables, or the tables lack
what OpenSSH's own manuals have.
"""

import string
from collections.abc import Iterable

from qsh.client import options
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.keywords import Effect, Keyword, Table
from qsh.config.server_keywords import SERVER_KEYWORDS
from tests import completion_files
from tests.sources import ROOT

PAGE = ROOT / "COMPATIBILITY.md"

HEAD = """\
# What becomes of OpenSSH's options and keywords

Made by `python -m tests.compatibility` from the tables that the programs themselves go by; a test
compares it with them, and them with the manuals of the installed OpenSSH. The manuals
([qsh(1)](man/qsh.1), [qsh_config(5)](man/qsh_config.5), [qshd_config(5)](man/qshd_config.5)) say
what each one does.

*works*: as OpenSSH's manual has it. *accepted without effect*: read and checked, changes nothing,
for the reason given. *refused*: an error that names it, except for the values given, which ask for
what qsh does anyway.
"""
WORDS = {Effect.WORKS: "works", Effect.NONE: "accepted without effect", Effect.NOT_YET: "refused"}
Row = tuple[str, str, str]
"""Name, what becomes of it, why or what else."""


def option_rows() -> list[Row]:
    """Every letter that ssh(1) has or qsh takes."""
    return [_option(letter) for letter in sorted(_letters(), key=_in_manual_order)]


def keyword_rows(table: Table) -> list[Row]:
    """Every keyword and every other name of one."""
    rows = [(row.name, WORDS[row.effect], _note(row)) for row in table.rows]
    others = [
        (other, WORDS[table.by_name[other.lower()].effect], f"as {name}")
        for other, name in table.others.items()
    ]
    return sorted(rows + others, key=lambda row: row[0].lower())


def page() -> str:
    """The whole page."""
    client, server = keyword_rows(CLIENT_KEYWORDS), keyword_rows(SERVER_KEYWORDS)
    return "\n".join([
        HEAD,
        *_section("Options of ssh(1)", [(f"-{n}", word, note) for n, word, note in option_rows()]),
        *_section("Keywords of ssh_config(5)", client),
        *_section("Keywords of sshd_config(5)", server),
    ])


def _letters() -> str:
    taken = [*options.KEYWORD_OF_LETTER, *options.LINE_OF_LETTER,
             *options.OTHER_FLAGS, *options.OTHER_WITH_VALUE]  # fmt: skip
    return "".join({*taken, *options.REFUSED})


def _option(letter: str) -> Row:
    if letter in options.REFUSED:
        return letter, "refused", options.REFUSED[letter]
    name = options.KEYWORD_OF_LETTER.get(letter)
    if name is None and letter in options.LINE_OF_LETTER:
        name = options.LINE_OF_LETTER[letter][0]
    if name is None:
        return letter, "works", ""
    row = CLIENT_KEYWORDS.by_name[name.lower()]
    asked = options.LINE_OF_LETTER.get(letter, (name, ""))[1]
    if row.effect is Effect.NOT_YET and asked in row.harmless:
        return letter, "accepted without effect", f"{row.name} is refused anyway"
    return letter, WORDS[row.effect], row.reason or row.name


def _note(row: Keyword) -> str:
    if row.effect is not Effect.NOT_YET:
        return row.reason
    values = ", ".join(f"`{value}`" for value in row.harmless if value != "false")
    shipped = "; in the system's files any value passes" if row.shipped else ""
    return f"{row.reason}{'; ' if row.reason and values else ''}" + (
        f"except {values}" if values else "") + shipped  # fmt: skip


def _section(title: str, rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    counts = ", ".join(
        f"{sum(row[1] == word for row in rows)} {word}"
        for word in WORDS.values() if any(row[1] == word for row in rows)
    )  # fmt: skip
    lines = [f"| {name} | {word} | {note} |" for name, word, note in rows]
    return [f"## {title}", "", f"{counts}.", "", "| | | |", "|---|---|---|", *lines, ""]


def _in_manual_order(letter: str) -> tuple[bool, str, bool]:
    return letter not in string.digits, letter.lower(), letter.islower()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    completion_files.main()
