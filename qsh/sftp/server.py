"""`internal-sftp`: an SFTP server on standard input and output, in the user's own process."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence

from qsh import log
from qsh.errors import UsageError
from qsh.sftp.arguments import REQUESTS, Arguments, parse
from qsh.sftp.handler import FileServer, Handler
from qsh.sftp.pipe_io import PipeReader, PipeWriter, RequestLog

INTERNAL = "internal-sftp"
"""The command that stands for this server in the configuration."""


def is_internal(command: bytes) -> bool:
    """Whether a command of Subsystem or ForceCommand names this server."""
    return command.startswith(INTERNAL.encode()) and command.split()[0] == INTERNAL.encode()


def serve(words: Sequence[str], *, user: str, home: str, files: tuple[int, int] = (0, 1)) -> int:
    """Serve one session on two descriptors until the client is done; gives the exit status.
    `words` are the arguments after `internal-sftp`."""
    try:
        arguments = parse(words)
    except UsageError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    if arguments.lists_requests:
        os.write(files[1], "".join(f"{name}\n" for name in sorted(REQUESTS)).encode())
        return 0
    _begin_to_log(arguments)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a write then fails, which is a good end
    if arguments.umask is not None:
        os.umask(arguments.umask)
    if arguments.start_folder:
        folder = expand_folder(arguments.start_folder, user=user, home=home)
        try:
            os.chdir(folder)
        except OSError as error:
            log.logger("sftp").error("cannot begin in %s: %s", folder, error.strerror)
    writer = PipeWriter(files[1])
    reader = PipeReader(files[0], writer, RequestLog(log.logger("sftp")))
    server = FileServer(is_read_only=arguments.is_read_only)
    return asyncio.run(_run(Handler(server, reader, writer, arguments.denied), writer))


async def _run(handler: Handler, writer: PipeWriter) -> int:
    try:
        await handler.run()
        writer.flush()
    except EOFError:
        return 0  # gone before the first request
    except OSError:
        return 255
    return 0


def expand_folder(text: str, *, user: str, home: str) -> str:
    """sftp-server(8), -d: %d, %u and %% replaced."""
    values = {"%d": home, "%u": user, "%%": "%"}
    return re.sub("%.", lambda found: values.get(found[0], found[0]), text)


def _begin_to_log(arguments: Arguments) -> None:
    sink = _stderr if arguments.to_stderr else log.syslog_sink(INTERNAL, arguments.facility)
    log.configure(level=arguments.level, program=INTERNAL, sink=sink)


def _stderr(_level: log.Level, line: str) -> None:
    print(line, file=sys.stderr, flush=True)
