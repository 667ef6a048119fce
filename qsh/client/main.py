"""The program `qsh`: the command line, the settings, one visit, the exit status.

What answers at once (`-V`, `--help`, a wrong option) loads nothing more than this and options.
"""

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from qsh import __version__, log
from qsh.client import timeline
from qsh.client.notices import complain
from qsh.client.options import HELP, Options, parse
from qsh.client.session.console import Interrupted, die_of
from qsh.errors import EXIT_OWN_ERROR, ConfigError, NoServerError, QshError

if TYPE_CHECKING:
    from qsh.client.session_options import SessionWish
    from qsh.config.client_settings import ClientSettings

DEMO_HOST = "demo"
"""What the private server of --demo is called in messages."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `qsh` with these words; gives the exit status: that of the remote command, 255 for
    failures of our own. Without words it is the program itself: it takes those of the command
    line and does not return."""
    occupy_standard_descriptors()
    if argv is None:
        _leave(_guarded(sys.argv[1:]))
    return _guarded(list(argv))


def _leave(status: int) -> NoReturn:
    """End at once. To take the interpreter apart, module by module, would cost tens of
    milliseconds and free only what the system frees anyway."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(status)


def _guarded(argv: list[str]) -> int:
    """Whatever happens becomes a line and a status."""
    try:
        return _main(argv)
    except QshError as error:
        complain(error)
        return error.exit_status
    except KeyboardInterrupt:
        return die_of(signal.SIGINT)
    except Interrupted as interrupted:
        return die_of(interrupted.number)
    except Exception as error:
        log.logger("client").fatal("internal error: %s: %s", type(error).__name__, error)
        _log_traceback(error)
        return EXIT_OWN_ERROR


def _version() -> str:
    """What `-V` prints: without settings, so the engine is the environment's choice."""
    from qsh.quic.engine import chosen

    return f"qsh {__version__}, {chosen()} engine, Python {sys.version.split()[0]}\n"


def _main(argv: list[str]) -> int:
    options = parse(argv)
    if options.help or options.version:
        print(HELP if options.help else _version(), end="", flush=True)
        return 0
    if options.query is not None:
        return _list(options.query)
    _configure_log(options)
    if options.status:
        from qsh.client.status.listing import show_status

        host = options.destination.host if options.destination is not None else None
        return show_status(host, as_json=options.json)
    if not options.demo:
        settings = _settings(options)
        if options.prints_settings:
            return _print_settings(settings)
        if options.doctor:
            from qsh.client.doctor.doctor import run as examine

            return examine(settings, as_json=options.json)
        may_ride = settings.control_path is not None and options.wish is None
        if options.control is not None or may_ride:
            return _share(options, settings, argv)
        return _visit_or_fall_back(options, settings, argv)
    from qsh.client.demo import Demo

    with Demo() as server:
        timeline.mark("private server is ready")
        settings = _settings(options, server.lines)
        if not options.command:
            log.logger("demo").info("a private qshd on this machine; it ends with this session")
        return _visit(_as_typed(options.command), settings)


def _share(options: Options, settings: "ClientSettings", argv: list[str]) -> int:
    """Over the connection of a master, where there is one; it has all that costs time."""
    from qsh.client.master import mux_client

    if options.control is not None:
        from qsh.client.master.commands import run_command

        return run_command(settings, options.control, options.command, options.stdio)
    master = mux_client.find_master(settings, must_exist=False)
    if master is None:
        return _visit_or_fall_back(options, settings, argv)
    timeline.mark("master found")
    return mux_client.ride(master, settings, options.command, options.stdio)


def _list(feature: str) -> int:
    """-Q: one name per line."""
    from qsh.client.queries import names_of

    print(*names_of(feature), sep="\n")
    return 0


def _print_settings(settings: "ClientSettings") -> int:
    from qsh.client.effective import lines_of

    print(*lines_of(settings), sep="\n")
    return 0


def _as_typed(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command of --demo, which is not bound to ssh's habit of joining words by spaces:
    several words reach the program as they were typed; one word is a line for the shell."""
    if len(words) < 2:
        return words
    from shlex import join

    return (join(words),)


def _settings(options: Options, demo: Sequence[tuple[str, str]] = ()) -> "ClientSettings":
    """From options and files; `demo` lines win over all."""
    from qsh.config.client import load_client
    from qsh.config.lines import option_line
    from qsh.config.patterns import named_in

    lines = [*(option_line(name, value, "--demo") for name, value in demo), *options.lines]
    host = options.destination.host if options.destination else DEMO_HOST
    settings = load_client(
        host, lines, config_file="none" if demo else options.config_file,
        command=" ".join(options.command),
    )  # fmt: skip
    log.configure(level=log.level_named(settings.log_level))
    if settings.log_verbose:
        log.configure(forces=named_in(settings.log_verbose))
    if options.to_syslog:
        log.configure(sink=log.syslog_sink("qsh", settings.syslog_facility))
    timeline.mark("settings read")
    return settings


def _visit_or_fall_back(options: Options, settings: "ClientSettings", argv: list[str]) -> int:
    """The visit; by ssh where no qshd is and FallbackToSsh says so."""
    if options.bootstrap:
        return _bootstrap(options, settings)
    try:
        return _visit(options.command, settings, options.stdio, options.wish)
    except NoServerError as error:
        from qsh.client.dial.fallback import fall_back, wants_bootstrap

        if wants_bootstrap(settings, error, wish=options.wish):
            return _bootstrap(options, settings)
        return fall_back(settings, argv, error)


def _bootstrap(options: Options, settings: "ClientSettings") -> int:
    """A visit to a server that ssh starts for it."""
    from qsh.client.dial.bootstrap import visit

    return visit(settings, options.lines,
                 lambda found: _visit(options.command, found, options.stdio))  # fmt: skip


def _visit(command: tuple[str, ...], settings: "ClientSettings", stdio: str | None = None,
           wish: "SessionWish | None" = None) -> int:
    from qsh.client.run import run

    timeline.mark("engine and loop imported")
    return run(settings, command, stdio, wish)


def _configure_log(options: Options) -> None:
    if options.to_syslog:
        log.configure(sink=log.syslog_sink("qsh", "USER"))
    elif options.log_file is not None:
        try:
            log.configure(sink=log.file_sink(options.log_file))
        except OSError as error:
            raise ConfigError(f"-E {options.log_file}: {error.strerror}") from None
    if options.log_level is not None:
        log.configure(level=log.level_named(options.log_level))


def occupy_standard_descriptors() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed: a socket opened later would get the
    number, and be written to by mistake."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def _log_traceback(error: Exception) -> None:
    if log.is_enabled(log.Level.DEBUG3):
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            log.logger("client").debug3("%s", line)


if __name__ == "__main__":
    sys.exit(main())
