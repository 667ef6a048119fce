"""The command line of qshd: sshd's letters, and `--ready-fd`.

What sshd has and qshd has not is an error: an administrator must not believe in an option without
effect.
"""

import getopt
import os
from collections.abc import Sequence
from dataclasses import dataclass

from qsh.config.lines import ConfigLine, option_line, parse_option
from qsh.errors import UsageError
from qsh.log import Level

LETTERS = "46C:DE:GTVc:def:g:h:io:p:qtu:"
LONG_OPTIONS = ("bootstrap", "help", "launcher", "ready-fd=", "run-dir=", "use-launcher",
                "version")
HELP = """\
usage: qshd [-46DGTVdeiqt] [-C connection_spec] [-c host_certificate_file]
            [-E log_file] [-f config_file] [-g login_grace_time]
            [-h host_key_file] [-o option] [-p port] [-u length]
            [--ready-fd number] [--run-dir folder] [--launcher | --use-launcher]
       qshd --bootstrap

  -4, -6       only IPv4, only IPv6
  -C SPEC      with -T or -G: apply Match for this connection
               (user=,host=,addr=,laddr=,lport=,rdomain=,invalid-user)
  -c FILE      host certificate; may be repeated
  -D           stay in the foreground, log to standard error
  -d           the same and say what happens; up to three times
  -E FILE      log to this file; -e: to standard error
  -f FILE      read this configuration; `none` for no file
  -G           print the settings in force and exit
  -g TIME      LoginGraceTime
  -h FILE      host key (private); may be repeated
  -i           one connection, its packets on standard input and output
  -o KEY=VAL   any keyword of sshd_config(5), before the file
  -p PORT      UDP port (default: 22); 0 for any free one
  -q           log nothing
  -T           check as -t does, and print the settings in force
  -t           check configuration and host keys, and exit
  -u LENGTH    accepted for sshd's sake, without effect
  -V           print the version and exit
  --ready-fd N write the port to this descriptor once clients can connect
  --run-dir F  keep sockets of living processes there (root: /run/qshd)
  --bootstrap  be a server for one user and visit (see qsh --bootstrap)
  --launcher   start sessions for a qshd --use-launcher, and listen nowhere
"""
HINT = "qshd --help lists the options"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    lines: tuple[ConfigLine, ...] = ()
    """Keywords set by letters and `-o`, first value wins."""
    config_file: str | None = None
    log_file: str | None = None
    to_stderr: bool = False
    foreground: bool = False
    inetd: bool = False
    """One connection, on standard input and output."""
    test_only: bool = False
    prints_settings: bool = False
    specs: tuple[str, ...] = ()
    """The connection whose settings are to be printed."""
    ready_fd: int | None = None
    run_folder: str | None = None
    """Where living processes are found again, instead of the usual place."""
    is_launcher: bool = False
    """Only start sessions, for one that `uses_launcher`."""
    uses_launcher: bool = False
    bootstrap: bool = False
    """Be asked for a server for one visit, on standard input."""
    only_one_visit: bool = False
    """End when it is over. Not on the command line: the bootstrap's own choice."""
    debug: int = 0
    """How often `-d` was given."""
    quiet: bool = False
    help: bool = False
    version: bool = False


def parse_options(arguments: Sequence[str]) -> Options:
    """The options. Raises UsageError, ConfigError."""
    try:
        found, words = getopt.getopt(list(arguments), LETTERS, list(LONG_OPTIONS))
    except getopt.GetoptError as error:
        raise UsageError(f"{error.msg} ({HINT})") from None
    if words:
        raise UsageError(f"unexpected argument {words[0]!r} ({HINT})")
    names = [name for name, _ in found]
    values = dict(reversed(found))
    specs = tuple(value for name, value in found if name == "-C")
    if specs and not {"-T", "-G"} & set(names):
        raise UsageError("-C needs -T or -G")
    return Options(
        lines=tuple(_lines(found)), config_file=_path(values.get("-f")),
        log_file=_path(values.get("-E")), to_stderr="-e" in values,
        foreground="-D" in values or "-d" in values, inetd="-i" in values,
        test_only="-t" in values or "-T" in values,
        prints_settings="-T" in values or "-G" in values, specs=specs,
        ready_fd=_number(values.get("--ready-fd")), run_folder=_path(values.get("--run-dir")),
        is_launcher="--launcher" in values, uses_launcher="--use-launcher" in values,
        bootstrap="--bootstrap" in values,
        debug=names.count("-d"), quiet="-q" in values, help="--help" in values,
        version=bool({"--version", "-V"} & set(names)),
    )  # fmt: skip


def level_for(options: Options, configured: Level) -> Level:
    """The level to log at: `-q` and `-d` before LogLevel."""
    if options.quiet:
        return Level.QUIET
    if options.debug:
        return Level(min(Level.VERBOSE + options.debug, Level.DEBUG3))
    return configured


def _lines(found: list[tuple[str, str]]) -> list[ConfigLine]:
    lines = []
    for name, value in found:
        if name == "-o":
            lines.append(parse_option(value))
        elif name in _KEYWORD_OF_LETTER:
            if name in ("-h", "-c"):
                value = os.path.abspath(value)  # noqa: PTH100
            lines.append(option_line(_KEYWORD_OF_LETTER[name], value, name))
        elif name in ("-4", "-6"):
            family = "inet" if name == "-4" else "inet6"
            lines.append(option_line("AddressFamily", family, name))
    return lines


_KEYWORD_OF_LETTER = {
    "-c": "HostCertificate", "-g": "LoginGraceTime", "-h": "HostKey", "-p": "Port",
}  # fmt: skip


def _path(text: str | None) -> str | None:
    """Made absolute: a daemon leaves its folder, and reads again on SIGHUP."""
    return text if text is None or text == "none" else os.path.abspath(text)  # noqa: PTH100


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise UsageError(f"--ready-fd needs the number of a descriptor, not {text!r}")
    return int(text)
