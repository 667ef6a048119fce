"""A real qshd and a real qsh beside it, with throw-away keys, for tests in the user's words.

Nothing here knows the protocol: programs are started as a user starts them, on 127.0.0.1.
"""

import contextlib
import getpass
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.sources import ROOT

QSH = (sys.executable, "-m", "qsh")
QSHD = (sys.executable, "-m", "qsh.server")
USER = getpass.getuser()
QUIET_SHELL = "SetEnv SHLVL=1"
"""bash reads ~/.bashrc for a command that a daemon of SSH runs (bash(1), INVOCATION) unless a shell
is above it: the tester's own start-up files are no part of the tests."""
READY_SECONDS = 20.0
"""For qshd to listen; generous, since test machines are busy."""


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """What a program under test sees: nothing of the tester's own keys, agent or settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {"HOME": str(home), "XDG_STATE_HOME": f"{home}/state", "USER": USER, "LOGNAME": USER}
    return kept | own | {"PYTHONPATH": str(ROOT)} | more


def make_key(path: Path, *options: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair `path`, `path`.pub by the real ssh-keygen."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", path, *options],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return path


def certify(authority: Path, key: Path, *options: str) -> Path:
    """Certificate `key`-cert.pub by `authority`; options as for ssh-keygen: -n, -h, -V, -O."""
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "test", *options, f"{key}.pub"],
                   check=True, capture_output=True)  # fmt: skip
    return Path(f"{key}-cert.pub")


def public(key: Path) -> str:
    """The public half as one line: type, base64, comment."""
    return Path(f"{key}.pub").read_text().strip()


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    status: int
    stdout: bytes
    stderr: str


@dataclass
class Daemon:
    """A qshd of the tester's own on 127.0.0.1, any free port.

    `settings` are qshd_config keywords with values beside the defaults below. `prefix` is put
    before the command line, e.g. to enter a network namespace.
    """

    folder: Path
    engine: str
    settings: Sequence[str] = ()
    prefix: Sequence[str] = ()
    address: str = "127.0.0.1"
    requested_port: int = 0
    program: Sequence[str] = QSHD
    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host_key = self.folder / "host_key"
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.touch()
        self.environment = clean_environment(self.folder, QSH_ENGINE=self.engine)
        if not self.host_key.exists():
            make_key(self.host_key)

    def start(self) -> "Daemon":
        """Start it and wait until it listens. Raises RuntimeError with its log if it does not."""
        config = self.folder / "qshd_config"
        config.write_text("".join(f"{line}\n" for line in self._config_lines()))
        ready, ready_child = os.pipe()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.program, "-D", "-e", "-f", config, *self._run_folder(),
                 "-p", str(self.requested_port), "--ready-fd", str(ready_child)],
                env=self.environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[ready_child], start_new_session=True,
            )  # fmt: skip
        os.close(ready_child)
        with open(ready, "rb") as pipe:
            line = pipe.readline() if select.select([pipe], [], [], READY_SECONDS)[0] else b""
        if not line.strip().isdigit():
            self.stop()
            raise RuntimeError(f"qshd did not start:\n{self.log}")
        self.port = int(line)
        return self

    def _run_folder(self) -> list[str]:
        """Sessions of its own: else it would share them with all daemons of the user."""
        return [] if "--run-dir" in self.program else ["--run-dir", f"{self.folder}/run"]

    def _config_lines(self) -> list[str]:
        defaults = [f"ListenAddress {self.address}", f"HostKey {self.host_key}",
                    f"AuthorizedKeysFile {self.authorized_keys}", "StrictModes no",
                    "LogLevel DEBUG", "PerSourcePenalties no",
                    QUIET_SHELL]  # fmt: skip
        named = {line.split()[0].lower() for line in self.settings}
        return [*self.settings, *(d for d in defaults if d.split()[0].lower() not in named)]

    def stop(self) -> None:
        """End the listener, and all that outlives it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end_survivors()

    def _end_survivors(self) -> None:
        """Kept sessions stay for days. Each process of this daemon bears the listener's command
        line, with this folder's path."""
        mark = f"{self.folder}/qshd_config".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)

    @property
    def log_path(self) -> Path:
        return self.folder / "qshd.log"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(self, text: str, seconds: float = 5.0) -> bool:
        """Whether the log has this text, waiting a little for it."""
        end = time.monotonic() + seconds
        while text not in self.log and time.monotonic() < end:
            time.sleep(0.02)
        return text in self.log

    def authorize(self, *lines: str) -> None:
        """Make these the only lines of authorized_keys."""
        self.authorized_keys.write_text("".join(f"{line}\n" for line in lines))

    def known_hosts_line(self) -> str:
        return f"[{self.address}]:{self.port} {public(self.host_key)}"


@dataclass
class Client:
    """The `qsh` of a user whose home is `folder`; `Host host` in its config is the daemon."""

    folder: Path
    engine: str
    address: str
    port: int
    prefix: Sequence[str] = ()
    program: Sequence[str] = QSH

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = self.folder / "id_ed25519"
        self.known_hosts = self.folder / "known_hosts"
        self.config = self.folder / "config"
        self.environment = clean_environment(self.folder, QSH_ENGINE=self.engine)
        if not self.key.exists():
            make_key(self.key)
        self.configure()

    def configure(self, *lines: str) -> None:
        """Write the config: `lines` first, which therefore win, then the defaults."""
        defaults = [f"HostName {self.address}", f"Port {self.port}", f"User {USER}",
                    f"IdentityFile {self.key}", "IdentitiesOnly yes",
                    f"UserKnownHostsFile {self.known_hosts}", "GlobalKnownHostsFile /dev/null",
                    "StrictHostKeyChecking yes"]  # fmt: skip
        named = {line.split()[0].lower() for line in lines}
        kept = [line for line in defaults if line.split()[0].lower() not in named]
        self.config.write_text("\n  ".join(["Host host", *lines, *kept]) + "\n")

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line, for those who run it in their own way."""
        return [*self.prefix, *self.program, "-F", str(self.config), *map(str, arguments)]

    def start(self, *arguments: str | Path, env: Mapping[str, str] = {}, **options: object
              ) -> "Running":  # fmt: skip
        """Start it; pipes unless `options` (those of Popen) say otherwise."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return Running(self.command(*arguments), cwd=self.folder,
                       env=self.environment | dict(env), **(pipes | options))  # fmt: skip

    def run(self, *arguments: str | Path, stdin: bytes = b"", timeout: float = 40,
            env: Mapping[str, str] = {}) -> Result:  # fmt: skip
        """Run it to its end. Its stdin ends after `stdin`."""
        with self.start(*arguments, env=env, start_new_session=True) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                raise AssertionError(
                    f"qsh {arguments} still ran after {timeout} s\n{stderr.decode()}"
                ) from None
        return Result(process.returncode, stdout, stderr.decode(errors="replace"))

    __call__ = run


class Running(subprocess.Popen[bytes]):
    """A program under way. A test that fails does not wait for its end."""

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)  # type: ignore[arg-type]


def missing_programs(*names: str) -> list[str]:
    """Which of these programs this machine lacks."""
    return [name for name in names if not shutil.which(name)]


def process_is_gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within that time."""
    end = time.monotonic() + seconds
    while (alive := Path(f"/proc/{pid}").exists()) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive
