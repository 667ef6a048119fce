"""What `qsh --doctor` has found, for people and for programs. Pure but for the writing."""

import json
import sys
from enum import Enum
from typing import TextIO

from qsh.log import printable
from qsh.record import record


class Level(Enum):
    """How good a finding is: its word in JSON, its mark, and that of a terminal without it."""

    PASS = ("pass", "✓", "ok")
    NOTE = ("note", "–", "--")
    WARNING = ("warning", "!", " !")
    FAILURE = ("failure", "✗", "XX")

    @property
    def word(self) -> str:
        """In JSON."""
        return self.value[0]


@record
class Finding:
    """One thing that was looked at. `name` is for programs and stays the same; `hint` says what to
    do, empty for nothing; `facts` are figures for programs, times in seconds, sizes in bytes."""

    name: str
    level: Level
    text: str
    hint: str = ""
    facts: tuple[tuple[str, object], ...] = ()


class Report:
    """Shows findings one by one as they come, or all of them at the end as one JSON object."""

    def __init__(self, host: str, port: int, out: TextIO, *, as_json: bool = False,
                 progress: TextIO | None = None) -> None:
        self.findings: list[Finding] = []
        self._subject = {"host": host, "port": port}
        self._out = out
        self._as_json = as_json
        self._progress = progress
        self._marks = 1 if _can_show(out) else 2
        if not as_json:
            self._line(f"{host}, UDP port {port}:")

    @property
    def is_good(self) -> bool:
        """Whether nothing has failed."""
        return all(one.level is not Level.FAILURE for one in self.findings)

    def waits(self, text: str) -> None:
        """Tell whoever sits at the terminal what is being waited for."""
        if self._progress is not None:
            self._progress.write(f"\r\033[K  … {text}")
            self._progress.flush()

    def add(self, finding: Finding) -> None:
        """One more."""
        self.findings.append(finding)
        if self._as_json:
            return
        self._clear()
        mark = finding.level.value[self._marks]
        self._line(f"  {mark} {finding.text}")
        if finding.hint:
            self._line(f"      {finding.hint}")

    def finish(self) -> None:
        """The end; in JSON everything."""
        self._clear()
        if self._as_json:
            findings = [
                {"name": one.name, "level": one.level.word, "text": one.text, "hint": one.hint,
                 **dict(one.facts)}
                for one in self.findings
            ]  # fmt: skip
            whole = {**self._subject, "good": self.is_good, "findings": findings}
            print(json.dumps(whole, indent=1), file=self._out, flush=True)

    def _clear(self) -> None:
        if self._progress is not None:
            self._progress.write("\r\033[K")
            self._progress.flush()

    def _line(self, text: str) -> None:
        """Names and banners are others' words."""
        print(_fitting(printable(text), self._out), file=self._out, flush=True)


def _can_show(out: TextIO) -> bool:
    try:
        "✓–✗…".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _fitting(text: str, out: TextIO) -> str:
    encoding = out.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def for_terminal(host: str, port: int, *, as_json: bool) -> Report:
    """On standard output, with progress on standard error if that is a terminal."""
    progress = sys.stderr if sys.stderr.isatty() else None
    return Report(host, port, sys.stdout, as_json=as_json, progress=progress)
