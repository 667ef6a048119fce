"""packaging/completion: what bash, zsh and fish offer after `qsh`, from the code's own tables.

    python -m tests.compatibility     writes the files anew

`tests/unit/test_completion.py` fails while they differ from the tables, and asks the real shells.
"""

import re
from pathlib import Path

from qsh.client import options
from qsh.client.master.commands import COMMANDS
from qsh.client.queries import FEATURES
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.keywords import Effect
from tests.sources import ROOT

FOLDER = ROOT / "packaging" / "completion"
FILES = {"bash": "qsh.bash", "zsh": "_qsh", "fish": "qsh.fish"}
TEMPLATES = Path(__file__).parent / "completion"

VALUES = {
    "B": "interface", "b": "address", "E": "file", "F": "file", "I": "file", "i": "file",
    "J": "host", "l": "user", "O": "command", "o": "option", "Q": "query", "S": "file",
}  # fmt: skip
"""What a letter takes; anything for the others."""


def flags() -> str:
    """Letters without a value."""
    return "".join(sorted({*options.LINE_OF_LETTER, *options.OTHER_FLAGS}))


def letters_with_value() -> str:
    """The others."""
    return "".join(sorted({*options.KEYWORD_OF_LETTER, *options.OTHER_WITH_VALUE}))


def keywords() -> list[str]:
    """What may stand after `-o`: all that is not refused, and no block."""
    blocks = ("Host", "Match", "Include")
    return sorted(
        row.name for row in CLIENT_KEYWORDS.rows
        if row.effect is not Effect.NOT_YET and row.name not in blocks
    )  # fmt: skip


def description(letter: str) -> str:
    """The first words of the letter's entry in qsh(1); the keyword's name if they are markup."""
    page = (ROOT / "man" / "qsh.1").read_text()
    entry = rf"^\.It Fl {re.escape(letter)}(?: .*)?\n([^.\n][^.;:\n]*)"
    found = re.search(entry, page, re.MULTILINE)
    keyword = options.KEYWORD_OF_LETTER.get(letter, "")
    return found[1].replace("'", "").strip() if found else keyword or letter


def zsh_options() -> str:
    """Specifications for _arguments."""
    rows = [f"'-{letter}[{_plain(letter)}]'" for letter in flags() if letter not in "tv"]
    rows += [f"'*-{letter}[{_plain(letter)}]'" for letter in "tv"]
    rows += [
        f"'*-{letter}+[{_plain(letter)}]:{VALUES.get(letter, 'value')}:"
        f"{{_qsh_value {VALUES.get(letter, 'value')}}}'"
        for letter in letters_with_value()
    ]
    rows += [f"'--{name}[{_plain('-' + name)}]'" for name in options.LONG_OPTIONS]
    return " \\\n    ".join(rows)


def _plain(letter: str) -> str:
    return re.sub(r"[\[\]\\:]", "", description(letter))


def fish_options() -> str:
    """One `complete` line each."""
    rows = [f"complete -c qsh -s {letter} -d '{_plain(letter)}'" for letter in flags()]
    for letter in letters_with_value():
        kind = VALUES.get(letter, "value")
        how = "-rF" if kind == "file" else "-x"
        what = f" -a '(__qsh_value {kind})'" if kind not in ("file", "value") else ""
        rows.append(f"complete -c qsh -s {letter} {how} -d '{_plain(letter)}'{what}")
    rows += [
        f"complete -c qsh -l {name} -d '{_plain('-' + name)}'" for name in options.LONG_OPTIONS
    ]
    return "\n".join(rows)


def render(shell: str) -> str:
    """The file for a shell."""
    text = (TEMPLATES / FILES[shell]).read_text()
    fillings = {
        "FLAGS": flags(), "WITH_VALUE": letters_with_value(),
        "FILE_LETTERS": "".join(sorted(n for n, kind in VALUES.items() if kind == "file")),
        "LONG": " ".join(f"--{name}" for name in options.LONG_OPTIONS),
        "KEYWORDS": "\n".join(keywords()), "COMMANDS": " ".join(COMMANDS),
        "QUERIES": " ".join(["help", *sorted(FEATURES)]),
        "ZSH_OPTIONS": zsh_options(), "FISH_OPTIONS": fish_options(),
    }  # fmt: skip
    return re.sub(r"@(\w+)@", lambda found: fillings[found[1]], text)


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (FOLDER / name).write_text(render(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
