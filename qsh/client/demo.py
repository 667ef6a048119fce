"""`qsh --demo`: a private qshd on the loopback interface with throw-away keys.

    client ── lifeline (pipe) ── guard ── qshd ── what the connection needs

The guard is a fork of the client that waits for the lifeline to close, which happens however the
client ends, by SIGKILL too. Then it ends qshd with all its children and removes the folder.
"""

import contextlib
import os
import select
import signal
import sys

from qsh.client.notices import with_hint
from qsh.errors import NetworkError
from qsh.process_tree import end_tree
from qsh.record import record

ADDRESS = "127.0.0.1"
READY_SECONDS = 20.0
"""For qshd to listen; it takes a fraction of one, on a busy machine a few."""
PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


@record
class DemoServer:
    """A running private server. `lines` are the client's keywords that lead to it."""

    folder: str
    port: int

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        return (
            ("HostName", ADDRESS), ("Port", str(self.port)), ("User", account_name()),
            ("IdentityFile", f"{self.folder}/user_key"), ("IdentitiesOnly", "yes"),
            ("IdentityAgent", "none"), ("UserKnownHostsFile", f"{self.folder}/known_hosts"),
            ("GlobalKnownHostsFile", "/dev/null"), ("StrictHostKeyChecking", "yes"),
            ("FallbackToSsh", "no"), ("TcpPort", "none"),
        )  # fmt: skip


class Demo:
    """A context in which the server runs; entering it gives the DemoServer.

    Raises NetworkError if the server does not come up, with its own words.
    """

    def __init__(self) -> None:
        self._guard = 0
        self._lifeline = -1

    def __enter__(self) -> DemoServer:
        import tempfile

        folder = tempfile.mkdtemp(prefix="qsh-demo-")
        ready, ready_child = os.pipe()
        end, self._lifeline = os.pipe()
        self._guard = os.fork()
        if self._guard == 0:
            os.close(self._lifeline)
            os.close(ready)
            _guard(folder, end, ready_child)
        os.close(end)
        os.close(ready_child)
        try:
            return DemoServer(folder, _read_port(ready, folder))
        except BaseException:
            self.__exit__()
            raise
        finally:
            os.close(ready)

    def __exit__(self, *_: object) -> None:
        """End the server and wait until nothing of it is left."""
        os.close(self._lifeline)
        os.waitpid(self._guard, 0)


def account_name() -> str:
    """Who may log in to the private server: the user who runs it. Raises NetworkError."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise NetworkError(f"no account has user ID {os.geteuid()}; qshd needs one") from None


def _read_port(ready: int, folder: str) -> int:
    line = b""
    if select.select([ready], [], [], READY_SECONDS)[0]:
        line = os.read(ready, 16)
    if line.strip().isdigit():
        return int(line)
    with contextlib.suppress(OSError), open(f"{folder}/qshd.log", errors="replace") as file:
        words = file.read().strip().splitlines()
        raise with_hint(NetworkError("the private qshd did not start"),
                        words[-1] if words else "it said nothing")
    raise NetworkError("the private qshd did not start")


# ---------------------------------------------------------------- in the guard


def _guard(folder: str, end: int, ready: int) -> None:
    """The guard's whole life. Never returns."""
    server = 0
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        write_files(folder)
        server = start_server(folder, ready)
        os.close(ready)
        os.read(end, 1)
    finally:
        with contextlib.suppress(BaseException):
            if server:
                end_tree(server)
        with contextlib.suppress(BaseException):
            import shutil

            shutil.rmtree(folder)
        os._exit(0)


def write_files(folder: str) -> None:
    """Keys for the host and the user, the files that make them trust each other, and qshd's
    configuration."""
    from qsh.auth.generate import new_ed25519

    host_key, host_line = new_ed25519()
    user_key, user_line = new_ed25519()
    config = {
        "ListenAddress": ADDRESS, "Port": 0, "HostKey": f"{folder}/host_key",
        "AuthorizedKeysFile": f"{folder}/authorized_keys",
        "StrictModes": "no",  # the folder is in /tmp, which all may write to
        "AcceptEnv": "LANG LC_* COLORTERM", "PrintMotd": "no", "LogLevel": "INFO",
        "PerSourcePenalties": "no",
    }  # fmt: skip
    contents = {
        "host_key": host_key, "user_key": user_key,
        "authorized_keys": f"{user_line}\n".encode(),
        # Any port: which one is known only when qshd runs.
        "known_hosts": f"[{ADDRESS}]:* {host_line}\n".encode(),
        "qshd_config": "".join(f"{key} {value}\n" for key, value in config.items()).encode(),
    }  # fmt: skip
    for name, content in contents.items():
        descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)


def start_server(folder: str, ready: int) -> int:
    """Start qshd; gives its process ID. It writes its port to `ready`."""
    log = os.open(f"{folder}/qshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    arguments = [sys.executable, "-P", "-m", "qsh.server", "-D", "-e",
                 "-f", f"{folder}/qshd_config", "--ready-fd", "3"]  # fmt: skip
    paths = [PACKAGE_PARENT, *filter(None, [os.environ.get("PYTHONPATH")])]
    # What the server keeps from run to run goes with its folder.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "XDG_STATE_HOME": folder}
    # Number 3 may be the log's own, so both first get numbers that nothing else has.
    actions = [
        (os.POSIX_SPAWN_DUP2, ready, 100), (os.POSIX_SPAWN_DUP2, log, 101),
        (os.POSIX_SPAWN_DUP2, 101, 2), (os.POSIX_SPAWN_DUP2, 100, 3),
        (os.POSIX_SPAWN_CLOSE, 100), (os.POSIX_SPAWN_CLOSE, 101),
    ]  # fmt: skip
    server = os.posix_spawn(
        sys.executable, arguments, environment, file_actions=actions,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
    )
    os.close(log)
    return server
