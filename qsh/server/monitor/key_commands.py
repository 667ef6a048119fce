"""AuthorizedKeysCommand and AuthorizedPrincipalsCommand: programs that print what a file would say.

They run as an account that the administrator chose for them, without a shell, and are trusted only
if nobody but root could have changed them. What they print counts if they end well and in time:
the first part of a list of keys is not a list of keys.
"""

import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qsh.auth.public_key import PublicKey
from qsh.config.lines import split_words
from qsh.config.tokens import expand_tokens
from qsh.server import sandbox
from qsh.server.accounts.accounts import Account, find_account
from qsh.server.accounts.environment import STANDARD_PATH, SUPERUSER_PATH, Peers

TIME_LIMIT = 60.0
"""Seconds for a command. LoginGraceTime is the limit of all that a login takes."""
MAX_OUTPUT = 16 * 1024 * 1024
KEYS_TOKENS = "%CDUfhktu"
PRINCIPALS_TOKENS = "%CDFKTUfhikstu"
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """One of the two keywords: its name, for the log, with the command line and whom it runs as."""

    keyword: str
    line: str
    user: str | None

    def output(
        self, key: PublicKey, account: Account, peers: Peers, report: Report
    ) -> bytes | None:
        """What the command prints for this key and account; None if that does not count, and
        `report` has the reason."""
        try:
            runner = _runner(self)
            arguments = self._arguments(key, account, peers)
            if refusal := program_refusal(arguments[0]):
                raise CommandError(refusal)
            return _run(arguments, runner)
        except (CommandError, ValueError) as error:
            report(f"{self.keyword}: {error}")
        except OSError as error:
            report(f"{self.keyword}: {error.strerror}")
        return None

    def _arguments(self, key: PublicKey, account: Account, peers: Peers) -> list[str]:
        """Words first, tokens then: what a token stands for is never cut into words."""
        words = split_words(self.line)
        is_for_keys = self.keyword == "AuthorizedKeysCommand"
        if is_for_keys and len(words) == 1:
            words.append("%u")
        allowed = KEYS_TOKENS if is_for_keys else PRINCIPALS_TOKENS
        tokens = _tokens(key, account, peers)
        return [expand_tokens(word, allowed, tokens) for word in words]


class CommandError(Exception):
    """The command is not to be run, or not to be believed."""


def _runner(command: KeyCommand) -> Account:
    """Raises CommandError."""
    if command.user is None:
        raise CommandError(f"{command.keyword}User is not set")
    runner = find_account(command.user)
    if runner is None:
        raise CommandError(f"{command.keyword}User {command.user!r} is no account")
    if not sandbox.is_root() and runner.uid != os.geteuid():
        raise CommandError(f"only root can run it as {command.user}")
    return runner


def _tokens(key: PublicKey, account: Account, peers: Peers) -> Mapping[str, str]:
    (remote, remote_port), (local, local_port) = peers.remote, peers.local
    tokens = {
        "C": f"{remote} {remote_port} {local} {local_port}", "D": "", "U": str(account.uid),
        "u": account.name, "h": account.home, "f": key.fingerprint(), "t": key.algorithm,
        "k": key.authorized_line().split()[1],
    }  # fmt: skip
    if key.certificate is not None:
        authority = key.authority
        tokens |= {
            "F": authority.fingerprint(), "T": authority.algorithm,
            "K": authority.authorized_line().split()[1],
            "i": key.certificate.key_id, "s": str(key.certificate.serial),
        }  # fmt: skip
    return tokens


def program_refusal(path: str) -> str:
    """Why this program must not run; empty if only root could have changed it (OpenSSH's
    safe_path). Without root it may be the user's own as well."""
    owners = {0, os.geteuid()}
    try:
        real = Path(path).resolve(strict=True)
        status = real.stat()
        if not path.startswith("/") or not stat.S_ISREG(status.st_mode):
            return f"{path} is not a regular file with an absolute path"
        for part in (real, *real.parents):
            status = part.stat()
            if status.st_uid not in owners or status.st_mode & 0o022:
                return f"{path}: bad ownership or modes for {part}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _run(arguments: Sequence[str], runner: Account) -> bytes:
    """The program's output. Raises CommandError, OSError."""
    identity = (
        {"user": runner.uid, "group": runner.gid, "extra_groups": list(runner.groups)}
        if sandbox.is_root() else {}
    )  # fmt: skip
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd="/", env=_environment(runner), start_new_session=True, umask=0o022, **identity,
    )  # type: ignore[call-overload]  # fmt: skip
    try:
        output = _read(process.stdout, time.monotonic() + TIME_LIMIT)
        status = process.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise CommandError(f"{arguments[0]} does not end") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    if status != 0:
        raise CommandError(f"{arguments[0]} failed, status {status}")
    return output


def _read(stdout: IO[bytes], deadline: float) -> bytes:
    """All that comes until the end. Raises CommandError if there is none."""
    pieces: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while size <= MAX_OUTPUT:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise CommandError(f"no end of output within {TIME_LIMIT:.0f} s")
            piece = os.read(stdout.fileno(), 256 * 1024)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
    raise CommandError(f"more than {MAX_OUTPUT} bytes of output")


def _environment(runner: Account) -> dict[str, str]:
    return {
        "PATH": STANDARD_PATH if runner.uid else SUPERUSER_PATH,
        "USER": runner.name, "LOGNAME": runner.name, "HOME": runner.home,
    }  # fmt: skip
