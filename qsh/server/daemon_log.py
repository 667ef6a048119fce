"""Where the daemon's log goes: standard error, a file, the journal, or syslog.

Set up once in the listener; its forks write to the same place. A file takes the place of standard
error; journal and syslog are connected anew for each line, so that no descriptor needs to survive
the closing of all others in a monitor.
"""

import os
import syslog

from qsh import log
from qsh.config.patterns import named_in
from qsh.config.server_settings import ServerSettings
from qsh.errors import ConfigError
from qsh.log import Level, Sink
from qsh.server import journal

PROGRAM = "qshd"


def open_log(level: Level, settings: ServerSettings, *, path: str | None, to_stderr: bool) -> None:
    """Begin to log: to the file or standard error, else as SyslogFacility says. Raises ConfigError
    if the file cannot be opened."""
    if path is not None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot open the log {path}: {error.strerror}") from None
        os.dup2(descriptor, 2)
        os.close(descriptor)
    to_system = None if path is not None or to_stderr else system_sink(settings.syslog_facility)
    if settings.log_verbose:
        log.configure(forces=named_in(settings.log_verbose))
    log.configure(level=level, program=PROGRAM, sink=to_system)


def system_sink(facility: str, path: str = journal.SOCKET) -> Sink:
    """The journal where there is one, since it keeps fields apart; else syslog(3). `facility` as
    in SyslogFacility."""
    if not journal.is_there(path):
        return log.syslog_sink(PROGRAM, facility)
    number: int = getattr(syslog, f"LOG_{facility.upper()}", syslog.LOG_AUTH)
    return journal.journal_sink(PROGRAM, number >> 3, path)
