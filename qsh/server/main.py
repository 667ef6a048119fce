"""qshd: options, settings, sockets, and then the listener.

In this order: everything that can be wrong is found, and said, before the daemon leaves the
terminal of the one who started it.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from qsh import __version__
from qsh.config.server import ServerConfig, load_server
from qsh.config.server_settings import ServerSettings
from qsh.errors import EXIT_OWN_ERROR, ConfigError, QshError
from qsh.log import Level, level_named, logger
from qsh.paths import make_private, runtime_folder, state_folder
from qsh.server import run_directory, sandbox
from qsh.server.daemon_log import PROGRAM, open_log
from qsh.server.inherited import Supervisor
from qsh.server.launch.host_keys import HostKeyProcess
from qsh.server.launch.launcher import Launcher, start_host_keys, start_launcher
from qsh.server.launch.service import (
    LauncherService,
    connect_to_launcher,
    wait_for_launcher,
)
from qsh.server.launch.zygote import start_zygote
from qsh.server.listener.connection_ids import ServerKeys, load_keys
from qsh.server.listener.link import FOLDER
from qsh.server.listener.listener import Listener, Supplies
from qsh.server.listener.stream_relay import open_stream_listeners, start_stream_relay
from qsh.server.listener.supply import Supply
from qsh.server.listener.udp_sockets import open_listeners
from qsh.server.options import HELP, Options, level_for, parse_options
from qsh.server.preload import preload

_log = logger("qshd")

KEYS_FILE = "connection_keys"
FIRST_INHERITED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status."""
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
        if options.help:
            print(HELP, end="")
            return 0
        if options.version:
            print(f"{PROGRAM} {__version__}")
            return 0
        if options.bootstrap:
            from qsh.server.bootstrap import bootstrap

            return bootstrap(_run)
        return _print_settings(options) if options.prints_settings else _run(options)
    except QshError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return EXIT_OWN_ERROR
    except OSError as error:
        print(f"{PROGRAM}: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return EXIT_OWN_ERROR


def _print_settings(options: Options) -> int:
    """`-T` checks everything first; `-G` reads the configuration alone."""
    from qsh.server.effective import settings_lines

    if options.test_only:
        _load(options)
    print("\n".join(settings_lines(options.config_file, options.lines, options.specs)))
    return 0


def _run(options: Options) -> int:
    supervisor = Supervisor()
    config, host_keys = _load(options)
    settings = config.settings
    if options.test_only:
        return 0
    _set_signals()
    sandbox.name_process(PROGRAM)  # else, after a restart, the interpreter's
    os.umask(0o022)
    if options.inetd:
        return _serve_one(options, config, host_keys)
    empty = _empty_folder() if sandbox.is_root() else None
    sockets, tcp = list[socket.socket](), list[socket.socket]()
    if not options.is_launcher:
        sockets = supervisor.sockets() or open_listeners(settings)
        tcp = open_stream_listeners(settings)
    preload(settings.engine, for_one=options.only_one_visit)
    if not options.foreground and not supervisor.is_restart:
        _leave_terminal(keep_stderr=options.log_file is not None or options.to_stderr)
    open_log(
        _level(options, settings), settings, path=options.log_file,
        to_stderr=options.foreground or options.to_stderr,
    )  # fmt: skip
    if options.is_launcher:
        _launch(options, config, host_keys, supervisor)
    else:
        # Before there is any secret:
        streams = start_stream_relay(tcp, settings, empty)
        zygote = start_zygote(config, empty)
        # A visit's server shares no secret with the system's.
        keys = ServerKeys.generate() if options.only_one_visit else _connection_keys()
        supplies = Supplies(
            Supply("the zygote", lambda: start_zygote(config, empty, keys.wipe), zygote),
            _monitors(options, config, keys, host_keys),
        )
        _listen(options, settings, sockets, streams, keys, supplies, supervisor)
    return 0


def _serve_one(options: Options, config: ServerConfig, host_keys: HostKeyProcess | None) -> int:
    """`-i`"""
    from qsh.server.inetd import serve_one, take_standard_files

    standard, settings = take_standard_files(), config.settings
    empty = _empty_folder() if sandbox.is_root() else None
    preload(settings.engine, for_one=True)
    open_log(
        _level(options, settings), settings, path=options.log_file,
        to_stderr=options.foreground or options.to_stderr,
    )  # fmt: skip
    serve_one(config, host_keys, standard, empty)
    return 0


def _monitors(options: Options, config: ServerConfig, keys: ServerKeys,
              host_keys: HostKeyProcess | None) -> Supply:
    """From a launcher of our own, or from the service."""
    if options.uses_launcher:
        return Supply("the launcher", lambda: connect_to_launcher(options.run_folder),
                      wait_for_launcher(options.run_folder))  # fmt: skip
    folder = _connections_folder(options)
    launcher = start_launcher(config, keys, folder, host_keys)
    return Supply(
        "the launcher", lambda: start_launcher(config, keys, folder, None), launcher
    )


def _launch(options: Options, config: ServerConfig, host_keys: HostKeyProcess | None,
            supervisor: Supervisor) -> None:
    """Be the launcher's service."""
    assert host_keys is not None
    launcher = Launcher(config, _connection_keys(), _connections_folder(options), host_keys)
    service = LauncherService(
        launcher, options.run_folder, lambda: _restart(options, config.settings, supervisor, [])
    )
    supervisor.tell_ready()
    service.run()
    supervisor.tell("STOPPING=1")


def _listen(options: Options, settings: ServerSettings, sockets: list[socket.socket],
            streams: socket.socket | None,
            keys: ServerKeys, supplies: Supplies, supervisor: Supervisor) -> None:
    """Be the listener."""
    listener = Listener(
        settings, sockets, keys, supplies, folder=_connections_folder(options), streams=streams,
        restart=lambda sockets: _restart(options, settings, supervisor, sockets),
    )  # fmt: skip
    listener.begin()
    _tell_ready(options, settings, sockets, supervisor)
    try:
        listener.run(only_one_visit=options.only_one_visit)
    finally:
        supervisor.tell("STOPPING=1")
        if settings.pid_file is not None:
            with suppress(OSError):
                os.remove(settings.pid_file)


def _load(options: Options) -> tuple[ServerConfig, HostKeyProcess | None]:
    """Configuration and host keys, which are a launcher's service's business where there is one.
    Raises ConfigError."""
    config = load_server(options.config_file, options.lines)
    if sandbox.is_root():
        try:
            sandbox.worker_ids()
        except KeyError as error:
            raise ConfigError(f"no account for the unprivileged process: {error}") from None
    return config, None if options.uses_launcher else start_host_keys(config)


def _restart(options: Options, before: ServerSettings, supervisor: Supervisor,
             sockets: list[socket.socket]) -> None:
    """Begin anew with what is installed and configured now. Connections go on; the sockets stay
    open if they are still the right ones. Raises ConfigError where that could not come up: then
    nothing changes."""
    config, host_keys = _load(options)
    if host_keys is not None:
        host_keys.stop()
    after = config.settings
    are_same = (before.listen_addresses, before.address_family) == (
        after.listen_addresses, after.address_family,
    )  # fmt: skip
    try:
        supervisor.restart(sockets if are_same else [])
    except OSError as error:
        raise ConfigError(f"cannot start anew: {error.strerror}") from None


def _level(options: Options, settings: ServerSettings) -> Level:
    return level_for(options, level_named(settings.log_level) or Level.INFO)


def _set_signals() -> None:
    """Programs that start us may have left signals ignored; our children must not inherit that."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _empty_folder() -> str:
    """An empty directory that only root can change, for workers' chroot. Raises OSError."""
    path = f"{make_private(runtime_folder())}/empty"
    with suppress(FileExistsError):
        os.mkdir(path, 0o555)  # noqa: PTH102
    status = os.lstat(path)
    if os.listdir(path) or status.st_uid != 0 or status.st_mode & 0o022:
        raise ConfigError(f"{path} must be an empty directory that only root can change")
    return path


def _connection_keys() -> ServerKeys:
    """The keys kept from run to run; new ones where they cannot be kept."""
    try:
        return load_keys(f"{make_private(state_folder())}/{KEYS_FILE}")
    except OSError as error:
        _log.info("keys of connection IDs are not kept (%s): a restart resets connections",
                  error.strerror)  # fmt: skip
        return ServerKeys.generate()


def _connections_folder(options: Options) -> str:
    """Where the next listener finds what this one leaves; empty where there is no such place."""
    try:
        return run_directory.open_folder(FOLDER, options.run_folder)
    except OSError as error:
        _log.error("no run directory (%s): clients cannot move after a restart", error)
        return ""


def _leave_terminal(*, keep_stderr: bool) -> None:
    """Become a daemon: no terminal, no folder in use, no parent that waits."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if keep_stderr else (0, 1, 2):
        os.dup2(null, descriptor)
    if null >= FIRST_INHERITED:
        os.close(null)


def _tell_ready(options: Options, settings: ServerSettings, sockets: list[socket.socket],
                supervisor: Supervisor) -> None:
    if settings.pid_file is not None:
        try:
            with open(settings.pid_file, "w") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            _log.error("cannot write %s: %s", settings.pid_file, error.strerror)
    supervisor.tell_ready()
    if options.ready_fd is not None and not supervisor.is_restart:
        with suppress(OSError):
            os.write(options.ready_fd, f"{sockets[0].getsockname()[1]}\n".encode())
            os.close(options.ready_fd)
