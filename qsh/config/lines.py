"""One line of ssh_config or sshd_config as words, with where it stands.

Splits as OpenSSH does (readconf.c and misc.c, `argv_split`): quotes of both kinds anywhere in a
word, backslash before quote, backslash or blank, `#` at the start of a word ends the line, and at
most one `=` between keyword and arguments. Knows no keyword and opens no file.
"""

from collections.abc import Iterator
from typing import NoReturn

from qsh.errors import ConfigError
from qsh.record import record

BLANKS = " \t\r\n\f"
_SPECIAL = frozenset("\"'\\#\v\x1c\x1d\x1e\x1f")
"""What str.split() would not do right in ASCII: beside quotes, its own ideas of blanks."""


@record
class ConfigLine:
    """A keyword with its arguments.

    `keyword` is in lower case, `name` as written; `rest` is everything after the keyword as
    written, for keywords that take a whole command; `source` is a path, or the option of a
    command line (then `number` is 0).
    """

    keyword: str
    name: str
    arguments: tuple[str, ...]
    rest: str
    source: str
    number: int = 0

    @property
    def place(self) -> str:
        """`/etc/ssh/ssh_config line 7`, or the option: the head of an error text."""
        return f"{self.source} line {self.number}" if self.number else self.source

    def fail(self, text: str) -> NoReturn:
        """Raise ConfigError with the place in front."""
        raise ConfigError(f"{self.place}: {text}")


def option_line(keyword: str, value: str, source: str) -> ConfigLine:
    """A line made from an option whose value is one word already (`-p 22`, `-i 'a b'`)."""
    return ConfigLine(keyword.lower(), keyword, (value,), value, source)


def parse_option(text: str) -> ConfigLine:
    """The argument of `-o`: `Key=value`, `Key value` or `Key = value`.

    Raises ConfigError if there is no keyword or no value, or a quote is left open.
    """
    line = parse_line(text, f"-o {text}")
    if line is None:
        raise ConfigError(f"-o {text!r}: no keyword (say -o Keyword=value)")
    return line


def parse_lines(text: str, source: str) -> Iterator[ConfigLine]:
    """All lines of a file that say something, in order."""
    for number, line in enumerate(text.split("\n"), 1):
        parsed = parse_line(line, source, number)
        if parsed is not None:
            yield parsed


def parse_line(text: str, source: str, number: int = 0) -> ConfigLine | None:
    """The line's keyword and words; None for a blank line or a comment."""
    text = text.strip(BLANKS)
    if not text or text[0] == "#":
        return None
    name, rest = _split_keyword(text)
    line = ConfigLine(name.lower(), name, (), rest, source, number)
    if not rest:
        line.fail(f"{name} has no value")
    try:
        words = split_words(rest)
    except ValueError as error:
        line.fail(str(error))
    return ConfigLine(line.keyword, name, tuple(words), rest, source, number)


def split_words(text: str) -> list[str]:
    """The words up to a comment. Raises ValueError if a quote is left open."""
    if text.isascii() and _SPECIAL.isdisjoint(text):
        return text.split()
    words: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in BLANKS:
            position += 1
        if position == len(text) or text[position] == "#":
            return words
        word, position = _next_word(text, position)
        words.append(word)


def _split_keyword(text: str) -> tuple[str, str]:
    """The keyword (which may be quoted) and the rest after blanks and at most one `=`."""
    if text[0] == '"' and (end := text.find('"', 1)) > 0:
        keyword, rest = text[1:end], text[end + 1 :]
    else:
        end = 0
        while end < len(text) and text[end] != "=" and text[end] not in BLANKS:
            end += 1
        keyword, rest = text[:end], text[end:]
    rest = rest.lstrip(BLANKS)
    return keyword, rest[1:].lstrip(BLANKS) if rest.startswith("=") else rest


def _next_word(text: str, position: int) -> tuple[str, int]:
    """The word that starts at `position`, unquoted, and the position after it."""
    word: list[str] = []
    quote = ""
    while position < len(text):
        char = text[position]
        if char == "\\" and _escapes(text[position + 1 : position + 2], quote):
            position += 1
            word.append(text[position])
        elif quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in BLANKS:
            break
        elif char in "\"'":
            quote = char
        else:
            word.append(char)
        position += 1
    if quote:
        raise ValueError(f"the quote {quote} is not closed")
    return "".join(word), position


def _escapes(char: str, quote: str) -> bool:
    """Whether a backslash takes away the meaning of `char`; elsewhere it stands for itself."""
    return char != "" and (char in "\"'\\" or (char == " " and not quote))
