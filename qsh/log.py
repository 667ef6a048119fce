"""What qsh tells about itself: one logger per area, levels and `-v` as in ssh(1).

Not the standard library's logging: this is on the path of `qsh -V` and costs nothing to import.
A line may quote what a peer sent, so control characters are escaped, and bytes are never shown,
only counted: keys, passwords and terminal contents are bytes. Imports nothing of qsh.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class Level(IntEnum):
    """LogLevel of ssh_config(5) and sshd_config(5); each includes those above it."""

    QUIET = 0
    FATAL = 1
    ERROR = 2
    INFO = 3
    VERBOSE = 4
    DEBUG1 = 5
    DEBUG2 = 6
    DEBUG3 = 7


Sink = Callable[[Level, str], None]
"""Takes one finished line, without its line end."""

_PREFIXES = {Level.DEBUG1: "debug1: ", Level.DEBUG2: "debug2: ", Level.DEBUG3: "debug3: "}
_ESCAPES = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)] if code != 9}
_ESCAPES |= {
    code: f"\\u{code:04x}"
    for code in (
        0x61C, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x2028, 0x202F), *range(0x2060, 0x206A)
    )
}
"""What a terminal obeys, and what turns the order of characters around or hides them (Unicode's
Bidi_Control, separators of lines, marks without width): a text could look like another."""


def level_named(name: str) -> Level | None:
    """The level that LogLevel calls so (any case; DEBUG is DEBUG1), or None."""
    name = name.upper()
    return Level.__members__.get("DEBUG1" if name == "DEBUG" else name)


def level_after(count: int, start: Level = Level.INFO) -> Level:
    """The level after `count` options `-v`: the first leads to DEBUG1, three to DEBUG3."""
    return start if count <= 0 else Level(min(Level.VERBOSE + count, Level.DEBUG3))


def printable(text: str) -> str:
    """The text on one line and harmless to a terminal: control characters, those that change the
    order of others, and undecodable bytes become escapes."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return value


class _Output:
    """Where lines go, shared by all loggers of the process."""

    level = Level.INFO
    program = "qsh"
    sink: Sink | None = None
    forces: Callable[[str], bool] | None = None

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.before_stderr: Callable[[bytes], None] | None = None

    def write(self, level: Level, line: str) -> None:
        if self.sink is not None:
            self.sink(level, line)
        else:
            _write_to_stderr(line, self.before_stderr)


_output = _Output()


def _write_to_stderr(line: str, tell: Callable[[bytes], None] | None) -> None:
    # The terminal may be in raw mode, where a bare line feed does not return the carriage.
    is_terminal = os.isatty(2)
    end = "\r\n" if is_terminal else "\n"
    if is_terminal and tell is not None:
        tell(f"{line}{end}".encode(errors="replace"))
    try:
        sys.stderr.write(line + end)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # nobody is there to be told


def file_sink(path: str) -> Sink:
    """Appends to a file (`-E`). Raises OSError if it cannot be opened."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(level: Level, line: str) -> None:
        try:
            os.write(descriptor, (line + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            return  # a full disk must not end a session

    return write


def syslog_sink(program: str, facility: str) -> Sink:
    """Sends lines to syslog(3), connected anew for each, so that no descriptor needs to survive a
    closing of all. `facility` as in SyslogFacility: `USER`, `AUTH`, `LOCAL0`."""
    import syslog  # few need it

    number: int = getattr(syslog, f"LOG_{facility.upper()}", syslog.LOG_AUTH)
    priorities = {
        Level.FATAL: syslog.LOG_CRIT,
        Level.ERROR: syslog.LOG_ERR,
        Level.INFO: syslog.LOG_INFO,
        Level.VERBOSE: syslog.LOG_INFO,
    }

    def write(level: Level, line: str) -> None:
        syslog.openlog(program, syslog.LOG_PID, number)
        text = line.removeprefix(f"{program}: ")
        syslog.syslog(priorities.get(level, syslog.LOG_DEBUG), text)
        syslog.closelog()

    return write


def configure(
    *, level: Level | None = None, program: str | None = None, sink: Sink | None = None,
    forces: Callable[[str], bool] | None = None,
) -> None:  # fmt: skip
    """Set what is given and keep the rest. Until then: INFO, `qsh`, standard error. `forces`
    (LogVerbose) says of a place in the source, `file:function():line`, whether its lines are
    written whatever their level."""
    if forces is not None:
        _output.forces = forces
    if level is not None:
        _output.level = level
    if program is not None:
        _output.program = program
    if sink is not None:
        _output.sink = sink


@contextmanager
def told_before_stderr(tell: Callable[[bytes], None]) -> Iterator[None]:
    """For as long as this lasts, `tell` is called with what is about to be written to standard
    error, if that is a terminal: by whoever has to know what stands there."""
    _output.before_stderr = tell
    try:
        yield
    finally:
        _output.before_stderr = None


def add_fields(**fields: str) -> None:
    """Name what all further lines of this process are about, for sinks that keep such things
    apart from the text (the journal's): `USER="alice"`. An empty value takes a field away."""
    _output.fields.update(fields)


def fields() -> dict[str, str]:
    """What `add_fields` has named, without what is empty."""
    return {name: value for name, value in _output.fields.items() if value}


def is_enabled(level: Level) -> bool:
    """Whether lines of this level are written: ask before costly preparations."""
    return level <= _output.level or _output.forces is not None


def _is_forced() -> bool:
    """Whether LogVerbose names the place that logs."""
    if _output.forces is None:
        return False
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    code = frame.f_code
    return _output.forces(f"{os.path.basename(code.co_filename)}:{code.co_name}():{frame.f_lineno}")


class Logger:
    """The lines of one area (`net`, `auth`, …). Texts are %-formatted only when written."""

    __slots__ = ("area",)

    def __init__(self, area: str) -> None:
        self.area = area

    def log(self, level: Level, text: str, *values: object) -> None:
        """Write one line of the given level."""
        if level is Level.QUIET or (level > _output.level and not _is_forced()):
            return
        if values:
            text = text % tuple(_shown(value) for value in values)
        prefix = _PREFIXES.get(level)
        head = f"{_output.program}: " if prefix is None else f"{prefix}{self.area}: "
        # Whoever takes the line over, as a monitor a worker's, must not drop it by its level.
        _output.write(min(level, _output.level), head + printable(text))

    def fatal(self, text: str, *values: object) -> None:
        """The program ends because of this."""
        self.log(Level.FATAL, text, *values)

    def error(self, text: str, *values: object) -> None:
        """Something failed that the user asked for."""
        self.log(Level.ERROR, text, *values)

    def info(self, text: str, *values: object) -> None:
        """Shown unless `-q` is given."""
        self.log(Level.INFO, text, *values)

    def verbose(self, text: str, *values: object) -> None:
        """For a server's log: logins and their ends."""
        self.log(Level.VERBOSE, text, *values)

    def debug1(self, text: str, *values: object) -> None:
        """`-v`: each step once."""
        self.log(Level.DEBUG1, text, *values)

    def debug2(self, text: str, *values: object) -> None:
        """`-vv`: decisions within a step."""
        self.log(Level.DEBUG2, text, *values)

    def debug3(self, text: str, *values: object) -> None:
        """`-vvv`: everything, also tracebacks."""
        self.log(Level.DEBUG3, text, *values)


def logger(area: str) -> Logger:
    """A logger for the area."""
    return Logger(area)


def change_level(steps: int) -> Level:
    """Say more (or, with a negative number, less) from now on; gives the new level."""
    _output.level = Level(min(max(_output.level + steps, Level.QUIET), Level.DEBUG3))
    return _output.level
