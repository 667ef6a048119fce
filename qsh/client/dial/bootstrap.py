"""`qsh --bootstrap`: through the system's ssh a server for this visit is started, then QUIC.

    client ── ssh ── host: qshd --bootstrap        key in, port and host key out; then ssh ends
       └── QUIC ───────── a qshd of the user's own, for this visit

The login is by a key made here for this visit, whose public half goes over ssh's standard input;
the host key is what came back by ssh, and no other is accepted. A guard, forked at the start,
waits for the client's end, however it comes, SIGKILL included: it removes the files, and where the
client could not say good-bye it has the server end.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from qsh import log
from qsh.client.dial.ssh_words import words_for_bootstrap
from qsh.client.notices import with_hint
from qsh.config.client_settings import ClientSettings
from qsh.config.lines import ConfigLine
from qsh.errors import NetworkError
from qsh.record import replace
from qsh.wire.bootstrap import (
    MOST,
    TAKEN,
    BootstrapAnswer,
    BootstrapRequest,
    encode_request,
    find_answer,
)

ALIAS = "qsh-bootstrap"
"""The name of the one host in our known_hosts."""
COMMAND_NOT_FOUND = 127
SEARCHED = "$PATH:/usr/local/sbin:/usr/sbin:$HOME/.local/bin"
"""Where qshd may be on the host: a command of ssh's has a short PATH."""
FAREWELL_SECONDS = 60
"""For the guard of a client that was killed to reach the server."""
ORDERLY = b"."

_log = log.logger("bootstrap")


def visit(settings: ClientSettings, lines: Sequence[ConfigLine],
          run: Callable[[ClientSettings], int]) -> int:
    """Start the server, and `run` with settings that lead to it; its exit status. `lines` are the
    command line's. Raises NetworkError."""
    with Bootstrap(settings, lines) as found:
        status = run(found.settings)
        found.was_orderly = True
    return status


class Bootstrap:
    """A context in which the server is there for us; `settings` lead to it then."""

    def __init__(self, settings: ClientSettings, lines: Sequence[ConfigLine]) -> None:
        self.settings = settings
        self.was_orderly = False
        """The server has heard our good-bye."""
        self._lines = lines
        self._process = os.getpid()
        self._guard = 0
        self._lifeline = -1

    def __enter__(self) -> "Bootstrap":
        import tempfile

        folder = tempfile.mkdtemp(prefix="qsh-bootstrap-")
        end, self._lifeline = os.pipe()
        self._guard = os.fork()
        if self._guard == 0:
            os.close(self._lifeline)
            _guard(folder, end)
        os.close(end)
        try:
            answer = self._ask(folder)
            self.settings = _settings_for(self.settings, folder, answer)
            farewell = _farewell(self.settings, answer)
            os.write(self._lifeline, "\0".join(farewell).encode(errors="surrogateescape"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Our own part is over. The guard does the rest."""
        if self.was_orderly and self._is_the_visits_process():
            with contextlib.suppress(OSError):
                os.write(self._lifeline, b"\0" + ORDERLY)
        os.close(self._lifeline)
        if self.was_orderly and os.getpid() == self._process and not self._forks():
            os.waitpid(self._guard, 0)

    def _forks(self) -> bool:
        """Whether the visit is in another process than the one that the user started."""
        settings = self.settings
        shares = settings.control_path is not None and settings.control_master != "no"
        return settings.fork_after_authentication or (
            shares and settings.control_persist is not None
        )

    def _is_the_visits_process(self) -> bool:
        return self._forks() == (os.getpid() != self._process)

    def _ask(self, folder: str) -> BootstrapAnswer:
        from qsh.auth.generate import new_ed25519

        private, public = new_ed25519()
        settings = self.settings
        words = words_for_bootstrap(settings, self._lines, remote_command(settings))
        _write(f"{folder}/user_key", private)
        answer = _run_ssh(words, BootstrapRequest(public, settings.bootstrap_ports), settings)
        _write(f"{folder}/known_hosts", f"{ALIAS} {answer.host_key}\n".encode())
        _log.debug1("a server is there: UDP port %d, process %d", answer.port, answer.pid)
        return answer


def remote_command(settings: ClientSettings) -> str:
    """What ssh is to run: for any shell, found also where a command's PATH is short."""
    script = f"PATH={SEARCHED}; export PATH; exec {settings.bootstrap_command} --bootstrap"
    return f"sh -c {shlex.quote(script)}"


def _run_ssh(words: Sequence[str], request: BootstrapRequest,
             settings: ClientSettings) -> BootstrapAnswer:
    """Raises NetworkError. What ssh itself says, and asks, the user sees."""
    host = settings.original_host
    _log.debug1("running %s", shlex.join(words))
    try:
        ssh = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise NetworkError("there is no ssh on this machine, which --bootstrap needs") from None
    assert ssh.stdin is not None
    assert ssh.stdout is not None
    said = b""
    with contextlib.suppress(BrokenPipeError), ssh.stdin, ssh.stdout:
        ssh.stdin.write(encode_request(request))
        ssh.stdin.flush()
        while len(said) < MOST and (data := os.read(ssh.stdout.fileno(), MOST)):
            said += data
            if answer := find_answer(said):
                ssh.stdin.write(TAKEN)
                ssh.stdin.flush()
                return answer
    status = ssh.wait()
    if status == COMMAND_NOT_FOUND:
        raise with_hint(
            NetworkError(f"qshd is not installed at {host}: {settings.bootstrap_command!r} was "
                         "not found there"),
            "install qsh there, or name its place with -o BootstrapCommand=PATH",
        )  # fmt: skip
    raise NetworkError(f"no server could be started at {host}: ssh ended with status {status}")


def _settings_for(settings: ClientSettings, folder: str,
                  answer: BootstrapAnswer) -> ClientSettings:
    from qsh.config.values import AlgorithmList

    return replace(
        settings, port=answer.port, user=answer.user, host_key_alias=ALIAS,
        user_known_hosts_files=(f"{folder}/known_hosts",), global_known_hosts_files=(),
        strict_host_key_checking="yes", check_host_ip=False, known_hosts_command=None,
        verify_host_key_dns="no", update_host_keys="no", hash_known_hosts=False,
        no_host_authentication_for_localhost=False, host_key_algorithms=AlgorithmList(),
        identity_files=(f"{folder}/user_key",), identity_files_given=True, identities_only=True,
        identity_agent=None, certificate_files=(), pkcs11_provider=None,
        pubkey_authentication_mode="yes", pubkey_accepted_algorithms=AlgorithmList(),
        preferred_authentications=("publickey",), fallback_to_ssh="no", tcp_port=None,
        proxy_command=None, proxy_jump=(), is_for_this_visit=True,
    )  # fmt: skip


def _farewell(settings: ClientSettings, answer: BootstrapAnswer) -> list[str]:
    """The words that end the server where we could not: a login of the same kind."""
    options = {
        "Port": answer.port, "User": answer.user, "IdentityFile": settings.identity_files[0],
        "IdentitiesOnly": "yes", "IdentityAgent": "none", "HostKeyAlias": ALIAS,
        "UserKnownHostsFile": settings.user_known_hosts_files[0],
        "GlobalKnownHostsFile": "none", "StrictHostKeyChecking": "yes", "BatchMode": "yes",
        "FallbackToSsh": "no", "TcpPort": "none", "ConnectTimeout": FAREWELL_SECONDS,
        "AddressFamily": settings.address_family, "HostName": settings.hostname,
        "Engine": settings.engine or "auto", "LogLevel": "QUIET", "ResumeTimeout": 0,
    }  # fmt: skip
    lines = [word for name, value in options.items() for word in ("-o", f'{name}="{value}"')]
    return [sys.executable, "-P", "-m", "qsh", "-F", "none", "-T", "-n", *lines, "--", ALIAS,
            f"kill {answer.pid}"]  # fmt: skip


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- in the guard


def _guard(folder: str, end: int) -> NoReturn:
    """The guard's whole life."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        told = b""
        while data := os.read(end, MOST):
            told += data
        if told and not told.endswith(b"\0" + ORDERLY):
            _say_farewell(told)
    finally:
        with contextlib.suppress(BaseException):
            shutil.rmtree(folder)
        os._exit(0)


def _say_farewell(told: bytes) -> None:
    words = told.decode(errors="surrogateescape").split("\0")
    parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    paths = [parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(words, stdin=subprocess.DEVNULL, timeout=FAREWELL_SECONDS, check=False,
                       cwd="/", env=environment)  # fmt: skip
