"""Reads configuration files line by line: Include, blocks, first value wins.

Knows the rules that both kinds of file share (readconf.c, servconf.c); which block applies is
asked of a `Conditions`. Every error names file and line. Lines of blocks that do not apply are
checked all the same; in the client's files they may ask for what is not supported yet.
"""

import os
from collections.abc import Sequence
from typing import Any, Protocol

from qsh.config.keywords import Effect, Keyword, Table
from qsh.config.lines import ConfigLine, parse_lines
from qsh.config.patterns import matches_list
from qsh.errors import ConfigError
from qsh.paths import expand_user
from qsh.record import record, replace

MAX_INCLUDE_DEPTH = 16
"""Files within files, as OpenSSH has it."""


class Conditions(Protocol):
    """Which blocks apply, given what was set before them."""

    starters: tuple[str, ...]
    """Keywords that begin a block, in lower case."""
    refuses_all: bool
    """Whether what is not supported yet is refused also in blocks that do not apply."""

    def applies(self, line: ConfigLine, values: dict[str, Any]) -> bool:
        """Whether the block that this line begins applies. Raises ConfigError."""

    def check(self, line: ConfigLine) -> None:
        """Raises ConfigError if the line is wrong, without asking whether it applies."""

    def permits(self, keyword: str) -> bool:
        """Whether a block of `match` may have this keyword."""

    def expand(self, text: str, values: dict[str, Any]) -> str:
        """The pattern of an Include with tokens replaced. Raises ValueError."""


@record
class ConfigFile:
    """A file to read, with what its kind implies."""

    path: str
    folder: str
    """Where names in Include that are not absolute begin."""
    required: bool = False
    is_system: bool = False
    private: bool = False
    """Refuse it if others than root and the user could have written it."""


class ConfigReader:
    """Collects the values of fields from options and files, in order of precedence."""

    def __init__(
        self, keywords: Table, conditions: Conditions, sources: "Sources | None" = None
    ) -> None:
        self.values: dict[str, Any] = {}
        """Field → value; only what was set."""
        self.lines: dict[str, ConfigLine] = {}
        """Field → the line that set it (the first of several)."""
        self.unused: dict[str, str] = {}
        """Keyword without effect, in lower case → what it was given."""
        self._keywords = keywords.by_name
        self._conditions = conditions
        self._sources = sources or Sources()
        self._ignored = ""

    def read_options(self, lines: Sequence[ConfigLine]) -> None:
        """Take the command line's keywords, which come before all files."""
        scope = _Scope(ConfigFile("", "."))
        for line in lines:
            if line.keyword in self._conditions.starters:
                line.fail(f"{line.name} has no meaning as an option")
            self._take(line, scope)

    def read_file(self, file: ConfigFile, *, blocks_only: bool = False) -> None:
        """Read one file with all that it includes; a missing one only counts if required.
        `blocks_only` leaves out what stands before the first block."""
        self._read(file, _Scope(file, active=not blocks_only))

    def _read(self, file: ConfigFile, scope: "_Scope") -> None:
        text = self._sources.text(file)
        if text is not None:
            for line in parse_lines(text, file.path):
                self._take(line, scope)

    def _take(self, line: ConfigLine, scope: "_Scope") -> None:
        if line.keyword in self._conditions.starters:
            self._begin_block(line, scope)
            return
        row = self._keywords.get(line.keyword)
        if row is None:
            self._refuse(line, f"unknown keyword {line.name}")
        elif scope.in_match and not self._conditions.permits(row.name.lower()):
            line.fail(f"{line.name} may not stand in a Match block")
        elif line.keyword == "include":
            self._include(line, scope)
        elif line.keyword == "ignoreunknown":
            if scope.active:
                self._ignored = self._ignored or ",".join(line.arguments).lower()
                self.values.setdefault("ignore_unknown", ",".join(line.arguments))
        else:
            self._set(line, row, scope)

    def _begin_block(self, line: ConfigLine, scope: "_Scope") -> None:
        scope.in_match, scope.in_block = line.keyword == "match", True
        if scope.never:
            self._conditions.check(line)
        else:
            scope.active = self._conditions.applies(line, self.values)

    def _set(self, line: ConfigLine, row: Keyword, scope: "_Scope") -> None:
        words = (line.rest,) if row.kind.whole else line.arguments
        try:
            value = row.kind.read(words)
        except ValueError as error:
            line.fail(f"{line.name}: {error}")
        if row.effect is Effect.NONE and scope.active:
            self.unused.setdefault(row.name.lower(), line.rest)
        if row.effect is Effect.NONE or not (scope.active or self._conditions.refuses_all):
            return
        if row.effect is Effect.NOT_YET:
            if not _is_harmless(words, row) and not (row.shipped and scope.file.is_system):
                self._refuse(line, f"{row.name} is not supported ({row.reason})")
        elif not scope.active:
            return
        elif row.kind.adds:
            known = self.values.get(row.field, ())
            # The files may be read twice (Match final), and mean the same by the same line.
            self.values[row.field] = known + tuple(one for one in value if one not in known)
            self.lines.setdefault(row.field, line)
        elif row.field not in self.values:
            self.values[row.field] = value
            self.lines[row.field] = line

    def _refuse(self, line: ConfigLine, text: str) -> None:
        if self._ignored and matches_list(self._ignored, line.keyword):
            return
        if "ignoreunknown" in self._keywords:
            text += f" (`IgnoreUnknown {line.name}` before it passes it over)"
        line.fail(text)

    def _include(self, line: ConfigLine, scope: "_Scope") -> None:
        if scope.depth == MAX_INCLUDE_DEPTH:
            line.fail(f"Include goes deeper than {MAX_INCLUDE_DEPTH} files")
        for word in line.arguments:
            for path in self._included_paths(line, word, scope):
                inner = scope.within(path)
                self._read(inner.file, inner)

    def _included_paths(self, line: ConfigLine, word: str, scope: "_Scope") -> list[str]:
        try:
            pattern = expand_user(self._conditions.expand(word, self.values))
        except ValueError as error:
            line.fail(f"Include: {error}")
        return self._sources.paths(os.path.join(scope.file.folder, pattern))


class _Scope:
    """Where in a file the reader is. An included file begins with what applies around it, and
    cannot change what applies after it."""

    __slots__ = ("active", "depth", "file", "in_block", "in_match", "never")

    def __init__(self, file: ConfigFile, *, active: bool = True) -> None:
        self.file = file
        self.active = active
        self.in_match = False
        self.in_block = False
        self.never = False
        """Included from a block that does not apply: no block in it can."""
        self.depth = 0

    def within(self, path: str) -> "_Scope":
        """That of a file included here."""
        inner = _Scope(replace(self.file, path=path, required=False), active=self.active)
        inner.in_match, inner.in_block = self.in_match, self.in_block
        inner.never = self.never or (self.in_block and not self.active)
        inner.depth = self.depth + 1
        return inner


class Sources:
    """Files and their names, each read once: a server asks again for every connection, and must
    get what it started with."""

    def __init__(self) -> None:
        self._texts: dict[str, str | None] = {}
        self._paths: dict[str, list[str]] = {}

    def text(self, file: ConfigFile) -> str | None:
        """As `load_text`."""
        if file.path not in self._texts:
            self._texts[file.path] = load_text(file)
        return self._texts[file.path]

    def paths(self, pattern: str) -> list[str]:
        """The files that a glob(3) pattern names, sorted."""
        if pattern not in self._paths and not set(pattern) & set("*?["):
            self._paths[pattern] = [pattern] if os.path.lexists(pattern) else []
        if pattern not in self._paths:
            from glob import glob  # pathlib would cost start-up time

            self._paths[pattern] = sorted(glob(pattern))  # noqa: PTH207
        return self._paths[pattern]


def load_text(file: ConfigFile) -> str | None:
    """The file's text; None if it is not there and need not be. Raises ConfigError."""
    try:
        with open(file.path, encoding="utf-8", errors="surrogateescape") as stream:
            if file.private:
                _check_private(stream.fileno(), file.path)
            return stream.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        if file.required:
            raise ConfigError(f"cannot read {file.path}: {error.strerror}") from None
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {file.path}: {error.strerror}") from None


def _check_private(descriptor: int, path: str) -> None:
    """A file that others can write could name commands that run as the user."""
    status = os.fstat(descriptor)
    if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
        raise ConfigError(
            f"{path} could have been written by others (chmod go-w it, and own it yourself)"
        )


def _is_harmless(words: tuple[str, ...], row: Keyword) -> bool:
    return len(words) == 1 and words[0].lower() in row.harmless
