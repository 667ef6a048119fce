"""Passwords without PAM: shadow(5)'s line of a user, its ages, and crypt(3).

Python's own `spwd` and `crypt` are gone since 3.13. The file is read into memory that is wiped
afterwards, since a user's process will be forked from this one, and only this user's line is kept.
"""

import contextlib
import ctypes
import hmac
import pwd
from dataclasses import dataclass
from enum import Enum
from typing import Any

SHADOW = "/etc/shadow"
DAY = 86400
MAX_FILE = 16 * 1024 * 1024
MAX_PASSWORD = 512
"""Bytes: CRYPT_MAX_PASSPHRASE_SIZE of <crypt.h>."""
LIBRARIES = ("libcrypt.so.2", "libcrypt.so.1")
CRYPT_DATA = 256 * 1024
"""Bytes for struct crypt_data: 32 KiB in libxcrypt, 128 KiB in the C library's own, once."""
PLAIN_DUMMY = "$6$rounds=656000$qshqshqshqshqsh$"
"""A setting to spend time with where the system has no password at all."""
BCRYPT_SALT = "." * 22
"""bcrypt's salt has no end mark of its own: any does."""


class Age(Enum):
    """What the dates of an account say."""

    GOOD = "good"
    CHANGE = "the password must be changed"
    ACCOUNT_EXPIRED = "the account has expired"
    PASSWORD_EXPIRED = "the password has expired for too long"  # noqa: S105


@dataclass(frozen=True, slots=True)
class ShadowEntry:
    """One line of shadow(5). Times are in days since 1970 or lengths in days; None for an empty
    field, which switches its rule off. `password` is a hash of crypt(3), or text that none is."""

    name: str
    password: str
    changed: int | None = None
    """0: must be changed at the next login."""
    least: int | None = None
    most: int | None = None
    warn: int | None = None
    inactive: int | None = None
    expires: int | None = None

    @property
    def is_locked(self) -> bool:
        """Locked by `passwd -l`: sshd lets nobody in, not by a key either (without PAM)."""
        return self.password.startswith("!")

    def age(self, now: float) -> Age:
        """By the rules of pam_unix(8), which also keep `inactive`. `now`: wall-clock seconds."""
        today = int(now // DAY)
        if self.expires is not None and today >= self.expires:
            return Age.ACCOUNT_EXPIRED
        if self.changed == 0:
            return Age.CHANGE
        if self.changed is None or self.most is None or self.changed > today:
            return Age.GOOD
        over = today - self.changed - self.most
        if over <= 0:
            return Age.GOOD
        if self.inactive is not None and over > self.inactive:
            return Age.PASSWORD_EXPIRED
        return Age.CHANGE

    def days_left(self, now: float) -> int | None:
        """Days until the password must be changed, if the user is to be warned already."""
        if not self.changed or self.most is None or self.warn is None:
            return None
        left = self.changed + self.most - int(now // DAY)
        return left if 0 <= left < self.warn else None


def parse_entry(line: str) -> ShadowEntry | None:
    """The entry of one line; None if it is not one. Fields that are no numbers count as empty,
    but for an unreadable date of expiry, which has passed."""
    name, *rest = line.rstrip("\n").split(":")
    if not name or len(rest) < 7:
        return None
    changed, least, most, warn, inactive = map(_days, rest[1:6])
    expires = _days(rest[6])
    if expires is None and rest[6].strip():
        expires = None if rest[6].strip() == "-1" else 0
    return ShadowEntry(name, rest[0], changed, least, most, warn, inactive, expires)


def _days(field: str) -> int | None:
    field = field.strip()
    return int(field) if field.isascii() and field.isdecimal() and len(field) < 10 else None


def read_entry(name: str, path: str = SHADOW) -> ShadowEntry | None:
    """The user's line; None if there is none, or we may not read the file."""
    return _read(name, path)[0]


def _read(name: str, path: str) -> tuple[ShadowEntry | None, str]:
    """The user's entry, and somebody's setting for crypt(3) to imitate; empty if there is none."""
    buffer = bytearray()
    try:
        with open(path, "rb", buffering=0) as file:
            buffer = bytearray(MAX_FILE if (size := _size(file)) > MAX_FILE else size + 1)
            length = file.readinto(buffer) or 0
        return _find(buffer, length, name)
    except OSError:
        return None, ""
    finally:
        buffer[:] = bytes(len(buffer))


def _size(file: Any) -> int:
    size: int = file.seek(0, 2)
    file.seek(0)
    return size


def _find(buffer: bytearray, length: int, name: str) -> tuple[ShadowEntry | None, str]:
    wanted = name.encode("utf-8", "surrogateescape") + b":"
    entry, setting, start = None, "", 0
    while start < length:
        end = buffer.find(b"\n", start, length)
        end = length if end < 0 else end
        if entry is None and buffer.startswith(wanted, start) and b":" not in wanted[:-1]:
            entry = parse_entry(buffer[start:end].decode("utf-8", "surrogateescape"))
        elif not setting:
            setting = _setting(buffer, start, end)
        start = end + 1
    return entry, setting


def _setting(buffer: bytearray, start: int, end: int) -> str:
    """Method and salt of this line's hash, without the hash itself."""
    first = buffer.find(b":", start, end) + 1
    last = buffer.rfind(b"$", first, buffer.find(b":", first, end))
    if first <= 0 or last < 0 or buffer[first : first + 1] != b"$":
        return ""
    setting = buffer[first : last + 1].decode("ascii", "replace")
    return setting + BCRYPT_SALT if setting.startswith("$2") else setting


def check_password(
    name: str, password: str, *, is_real: bool, may_be_empty: bool, path: str = SHADOW
) -> bool:
    """Whether this is the user's password. Takes the time of a real check in any case; with
    `is_real` false (no such user, or one who may not) the answer is no."""
    entry, setting = _read(name, path)
    stored = entry.password if entry is not None else _passwd_field(name)
    if is_real and stored == "":
        return may_be_empty and password == ""
    is_usable = is_real and stored is not None and is_hash(stored)
    # The empty password is asked for by anybody's first `none`: no hash is made for it.
    if password == "" and not may_be_empty:
        return False
    against = stored if is_usable and stored is not None else setting or PLAIN_DUMMY
    made = crypt(password, against)
    is_same = made is not None and hmac.compare_digest(made.encode(), against.encode())
    return is_usable and is_same


def _passwd_field(name: str) -> str | None:
    """The password in passwd(5) itself, for who has no line in shadow(5)."""
    with contextlib.suppress(KeyError, ValueError):
        field = pwd.getpwnam(name).pw_passwd
        return None if field in ("x", "*", "!", "") else field
    return None


def is_hash(stored: str) -> bool:
    """Whether a password can match it at all: not locked (`!`), not without one (`*`)."""
    return len(stored) >= 13 and stored[0] not in "!*" and stored.isascii()


def crypt(password: str, setting: str) -> str | None:
    """crypt(3): the hash of the password by the method and salt of `setting`; None if the method
    is unknown here or the password cannot be one. Raises OSError without libcrypt."""
    data = password.encode("utf-8", "surrogateescape")
    if b"\0" in data or len(data) >= MAX_PASSWORD:
        return None
    function = _crypt_r()
    work = ctypes.create_string_buffer(CRYPT_DATA)
    try:
        made: bytes | None = function(data, setting.encode("utf-8", "replace"), work)
    finally:
        ctypes.memset(work, 0, CRYPT_DATA)
    return None if not made or made.startswith(b"*") else made.decode("ascii", "replace")


def _crypt_r() -> Any:
    for name in LIBRARIES:
        with contextlib.suppress(OSError):
            function = ctypes.CDLL(name).crypt_r
            function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
            function.restype = ctypes.c_char_p
            return function
    raise OSError("libcrypt is not installed")
