"""FallbackToSsh: the system's ssh, with the same arguments, where no qshd is.

Only silence and an unreachable port lead here, never a refused login or a key that is wrong: who
can make packets vanish must not be able to choose the protocol unnoticed. So a host that once had
qshd is told apart, and a fallback from it is a warning.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from qsh import log
from qsh.client.dial.ssh_words import ignore_unknown
from qsh.client.login.prompts import CannotAskError, UserPrompter
from qsh.config.client_settings import ClientSettings
from qsh.errors import NoServerError, QshError, UsageError
from qsh.paths import make_private, user_state

SILENT_SECONDS = 600.0
"""For how long a host counts as one without qshd, on the same network."""
TRIED = "QSH_TRIED_SSH"
"""Variable: scripts that were run for ssh, as a PATH has them. One may be qsh, for ever."""

_log = log.logger("client")


def _entry(kind: str, settings: ClientSettings) -> str:
    name = f"{settings.hostname}:{settings.port}".replace("/", "_")
    return f"{user_state()}/{kind}/{name}"


def _write(path: str, text: str) -> None:
    """State is a convenience: where it cannot be kept, nothing is said."""
    try:
        make_private(user_state())
        make_private(os.path.dirname(path))
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        _log.debug1("cannot write %s: %s", path, error.strerror)


def remember_server(settings: ClientSettings) -> None:
    """qshd is there: note it, once."""
    path = _entry("servers", settings)
    if not os.path.exists(path):
        _write(path, "")


def had_server(settings: ClientSettings) -> bool:
    """Whether a login to qshd there has ever succeeded."""
    return os.path.exists(_entry("servers", settings))


def is_silent(settings: ClientSettings, source: str) -> bool:
    """Whether nothing answered there a little while ago, from this address of ours."""
    try:
        path = _entry("silent", settings)
        with open(path) as file:
            known, age = file.read(), time.time() - os.fstat(file.fileno()).st_mtime
        return known == source and 0 <= age < SILENT_SECONDS
    except OSError:
        return False


def remember_silence(settings: ClientSettings, source: str) -> None:
    """Nothing answers there from this address of ours."""
    _write(_entry("silent", settings), source)


def wants_bootstrap(settings: ClientSettings, error: NoServerError, *, wish: object) -> bool:
    """Whether ssh is to start a server there. Raises UsageError for what that cannot do."""
    if settings.fallback_to_ssh != "bootstrap":
        return False
    if wish is not None:
        raise UsageError(f"no qshd answers at {settings.original_host}, and a server that ssh "
                         "starts has no sessions to list, attach or leave")  # fmt: skip
    if settings.fork_after_authentication or settings.control_persist is not None:
        raise UsageError(f"no qshd answers at {settings.original_host}: "
                         "-f and ControlPersist need qsh --bootstrap from the start")  # fmt: skip
    _warn_if_it_had_server(settings)
    remember_silence(settings, error.source)
    return True


def _warn_if_it_had_server(settings: ClientSettings) -> None:
    if had_server(settings):
        _log.error("WARNING: %s had qshd before, and now it does not answer: using ssh",
                   settings.original_host)  # fmt: skip


def fall_back(settings: ClientSettings, arguments: Sequence[str], error: NoServerError) -> int:
    """Become ssh, if that is wanted; does not return then. Raises what led here otherwise, and
    UsageError for what ssh cannot do."""
    if settings.fallback_to_ssh == "no" or not _is_wanted(settings):
        raise error
    program = find_ssh(os.environ)
    if program is None:
        raise error
    _warn_if_it_had_server(settings)
    words = ssh_words(settings, arguments)
    environment = os.environ | _with_tried(program, os.environ)
    remember_silence(settings, error.source)
    _log.debug1("no qshd at %s: running %s", settings.original_host, program)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    try:
        os.execve(program, [_name_for(settings), *words], environment)  # noqa: S606  (the user's own words)
    except OSError as failure:
        raise QshError(f"cannot run {program}: {failure.strerror}") from None


UDP = ("udp/", "udp,drop/")


def find_ssh(environment: Mapping[str, str]) -> str | None:
    """The first ssh in PATH that is not qsh by another name. A script may turn out to be that: it
    is tried once, and whoever it runs looks further."""
    ours, tried = os.path.realpath(sys.argv[0]), environment.get(TRIED, "").split(os.pathsep)
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        program = shutil.which("ssh", path=folder or os.curdir)
        if program is not None and os.path.realpath(program) not in (ours, *tried):
            return program
    return None


def _name_for(settings: ClientSettings) -> str:
    """What ssh is to be called. By the program of that name it reaches its jump hosts, of which
    some may have no sshd; it takes `ssh` where that cannot be run."""
    return sys.argv[0] if settings.proxy_jump and "/" in sys.argv[0] else "ssh"


def _with_tried(program: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment for this ssh."""
    try:
        with open(program, "rb") as file:
            if file.read(2) != b"#!":
                return {}
    except OSError:
        return {}
    tried = filter(None, (environment.get(TRIED), os.path.realpath(program)))
    return {TRIED: os.pathsep.join(tried)}


def ssh_words(settings: ClientSettings, arguments: Sequence[str]) -> list[str]:
    """The command line for ssh. Raises UsageError."""
    for word in arguments:
        if word.startswith(UDP) or word[2:].startswith(UDP):
            raise UsageError("no qshd answers there, and ssh forwards no UDP")
    return [*ignore_unknown(settings), *arguments]


def _is_wanted(settings: ClientSettings) -> bool:
    """The user's word, asked for once per host, where somebody can be asked."""
    if settings.fallback_to_ssh == "yes" or settings.batch_mode:
        return True
    path = _entry("ssh", settings)
    try:
        with open(path) as file:
            return file.read() == "yes"
    except OSError:
        pass
    if not os.isatty(0):
        return True
    import asyncio

    prompter = UserPrompter(batch=False)
    question = (f"No qshd answers at {settings.original_host} (UDP port {settings.port}). "
                "Use ssh for this host, now and later (yes/no)? ")  # fmt: skip
    try:
        answer = asyncio.run(prompter.ask(question, echo=True)).strip().lower()
    except CannotAskError:
        return True
    wanted = answer in ("", "y", "yes")
    _write(path, "yes" if wanted else "no")
    return wanted
