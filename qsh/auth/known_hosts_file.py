"""Writing to known_hosts: add a host when it is first trusted, change its keys when it has others.

A failure is a value, not an exception: the client warns and goes on, since the user has already
said that the key is good.
"""

import errno
import os
from collections.abc import Collection, Iterable

from qsh.auth.known_hosts import host_name, means_exactly
from qsh.auth.public_key import PublicKey


def add(path: str, host: str, port: int, key: PublicKey, hashed: bool = False) -> str | None:
    """Append a line for the host's key. None once it is written, else why it is not.

    `hashed` writes the name as HashKnownHosts does. The file is made with mode 0600 and its folder
    with 0700 where they are missing. A line that does not fit on the disk is taken back.
    """
    return append(path, entry_line(host, port, key, hashed))


def entry_line(host: str, port: int, key: PublicKey, hashed: bool = False) -> bytes:
    """The line, with its newline. Of a certificate, the key in it."""
    return _line(host_name(host, port), key, hashed)


def _line(name: str, key: PublicKey, hashed: bool) -> bytes:
    shown = hash_name(name, os.urandom(20)) if hashed else name
    return f"{shown} {key.plain.authorized_line()}\n".encode("utf-8", "surrogateescape")


def hash_name(name: str, salt: bytes) -> str:
    """`|1|salt|hash`, as `ssh-keygen -H` writes it. The salt has 20 bytes."""
    import hmac
    from binascii import b2a_base64

    digest = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    fields = (b2a_base64(raw, newline=False).decode() for raw in (salt, digest))
    return "|1|" + "|".join(fields)


def append(path: str, line: bytes) -> str | None:
    """Append a whole line or nothing. None, or the reason."""
    try:
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            os.mkdir(folder, 0o700)  # noqa: PTH102  (pathlib costs 5 ms)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        descriptor = os.open(path, flags, 0o600)
    except (OSError, ValueError) as e:
        return _reason(path, e)
    try:
        _append_locked(descriptor, line)
    except OSError as e:
        return _reason(path, e)
    finally:
        os.close(descriptor)
    return None


def names_one_host(path: str, number: int) -> bool:
    """Whether that line (from 1) has one plain or hashed name: no list, no pattern, no marker."""
    try:
        with open(path, "rb") as file:
            for count, line in enumerate(file, 1):
                if count == number:
                    return line[:1] != b"@" and not set(line.split()[0]) & set(b",*?!")
    except OSError:
        pass
    return False


def replace_keys(
    path: str, name: str, gone: Collection[bytes], new: Iterable[PublicKey], hashed: bool = False
) -> str | None:
    """Take out the lines of the host `name` (as `host_name` has it) with a key in `gone`, and add
    lines for the keys in `new`. None once the file is replaced as a whole, else why it is not."""
    added = b"".join(_line(name, key, hashed) for key in new)
    path = os.path.realpath(path)  # a link stays one
    draft = f"{path}.{os.getpid()}"
    try:
        with open(path, "rb") as file:
            _lock(file.fileno())
            mode = os.fstat(file.fileno()).st_mode & 0o777
            kept = b"".join(line for line in file if not means_exactly(line, name, gone))
            if kept and not kept.endswith(b"\n"):
                kept += b"\n"
            _write_new(draft, kept + added, mode)
            os.replace(draft, path)
    except OSError as error:
        return _reason(path, error)
    return None


def _write_new(path: str, content: bytes, mode: int) -> None:
    """A new file, whole or not at all. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        os.unlink(path)  # noqa: PTH108  (pathlib costs 5 ms)
        raise
    finally:
        os.close(descriptor)


def _append_locked(descriptor: int, line: bytes) -> None:
    alone = _lock(descriptor)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    written = 0
    try:
        written = os.write(descriptor, line)
    finally:
        if alone and 0 < written < len(line):
            os.ftruncate(descriptor, size)
    if written != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock(descriptor: int) -> bool:
    """Whether nobody else of ours writes now. One write to the end is whole in any case; without
    the lock (not every file system has it) only half a line cannot be taken back."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _reason(path: str, error: Exception) -> str:
    return f"{path}: {getattr(error, 'strerror', None) or error}"
