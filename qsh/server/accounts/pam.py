"""Linux-PAM through its C interface: one handle, and a conversation that cannot overflow or leak.

Knows nothing of logins: statuses are PAM's own numbers, and whoever holds the handle says what is
answered. The library is loaded with the first handle, in the monitor: the listener never has one,
and the worker is forked before. Prompts and answers are bounded to what the interface promises to
modules, so that no module's buffer is tried by a stranger.
"""

import contextlib
import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from qsh.errors import QshError
from qsh.log import logger

_log = logger("pam")

LIBRARY = "libpam.so.0"
FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")
"""Where pam.d(5) keeps services, first the administrator's."""
SERVICES = ("qshd", "sshd")
"""The service: our own, or where only OpenSSH is set up, the one with the rules for it."""

# From <security/_pam_types.h>.
MAX_MESSAGES = 32
MAX_ANSWER = 512
"""Bytes with the final NUL: PAM_MAX_RESP_SIZE. Modules may count on it."""

# Ours.
MAX_CALLS = 64
"""Calls of the conversation within one function of PAM: a module that never stops asking fails."""
MAX_TEXT = 2000
"""Characters of a message to the user. PAM_MAX_MSG_SIZE is 512 bytes, but modules exceed it."""
MAX_VARIABLES = 1024


class Status(IntEnum):
    """What PAM's functions return, as far as it matters here."""

    SUCCESS = 0
    BUF_ERR = 5
    NEW_AUTHTOK_REQD = 12
    CONV_ERR = 19


class Flag(IntFlag):
    """Flags of PAM's functions."""

    NONE = 0
    DISALLOW_NULL_AUTHTOK = 0x1
    ESTABLISH_CRED = 0x2
    DELETE_CRED = 0x4
    CHANGE_EXPIRED_AUTHTOK = 0x20


class Item(IntEnum):
    """What pam_set_item(3) sets."""

    USER = 2
    TTY = 3
    RHOST = 4
    FAIL_DELAY = 10


class Style(IntEnum):
    """Kinds of messages of pam_conv(3)."""

    PROMPT_ECHO_OFF = 1
    PROMPT_ECHO_ON = 2
    ERROR_MSG = 3
    TEXT_INFO = 4


class PamError(QshError):
    """PAM is not there, or does not want."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a module to the user."""

    style: Style
    text: str

    @property
    def is_prompt(self) -> bool:
        return self.style in (Style.PROMPT_ECHO_OFF, Style.PROMPT_ECHO_ON)


Answers = Sequence[str | None] | None
"""One per message, None for those that are no prompts; None in their place: nobody answers."""
Conversation = Callable[[list[Message]], Answers]
Pause = Callable[[float], None]
"""Takes the seconds that modules want a failure to last."""


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("unused", ctypes.c_int))


_Converse = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)), ctypes.c_void_p,
)  # fmt: skip
_FailDelay = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _Converse), ("data", ctypes.c_void_p))


def choose_service(name: str | None, folders: Sequence[str] = FOLDERS) -> str:
    """The PAM service: `name` if it is given, else the first of SERVICES that is set up. With
    none of them PAM falls back on its service `other`, which denies."""
    if name is not None:
        return name
    for service in SERVICES:
        if any(os.path.exists(f"{folder}/{service}") for folder in folders):
            return service
    return SERVICES[0]


class Handle:
    """One pam_handle_t. `conversation` is asked on behalf of the modules, `pause` carries out
    their delays. Everything blocks for as long as modules please."""

    def __init__(self, service: str, user: str, pause: Pause) -> None:
        """pam_start(3). Raises PamError."""
        self.conversation: Conversation = no_answers
        self._pause = pause
        self._calls = 0
        self._status = int(Status.SUCCESS)
        self._pam, self._libc = _libraries()
        # PAM keeps pointers to these: they must live as long as the handle.
        self._converse = _Converse(self._take_messages)
        self._delay = _FailDelay(self._take_delay)
        self._in_c = _Conversation(self._converse, None)
        self._handle = ctypes.c_void_p()
        status = self._pam.pam_start(
            service.encode(), user.encode("utf-8", "surrogateescape"),
            ctypes.byref(self._in_c), ctypes.byref(self._handle),
        )  # fmt: skip
        if status != Status.SUCCESS:
            raise PamError(f"PAM cannot start service {service}: status {status}")
        delay = ctypes.cast(self._delay, ctypes.c_void_p)
        self._must(self._pam.pam_set_item(self._handle, Item.FAIL_DELAY, delay))

    # ------------------------------------------------------------ PAM's functions

    def set_item(self, item: Item, value: str) -> None:
        """A text item. Raises PamError."""
        text = ctypes.c_char_p(value.encode("utf-8", "surrogateescape"))
        self._must(self._pam.pam_set_item(self._handle, item, text))

    @property
    def user(self) -> str:
        """PAM_USER, which modules may change. Raises PamError."""
        value = ctypes.c_char_p()
        self._must(self._pam.pam_get_item(self._handle, Item.USER, ctypes.byref(value)))
        return (value.value or b"").decode("utf-8", "surrogateescape")

    def authenticate(self, flags: Flag) -> int:
        """pam_authenticate(3): the status."""
        return self._call(self._pam.pam_authenticate, flags)

    def check_account(self, flags: Flag) -> int:
        """pam_acct_mgmt(3): the status; NEW_AUTHTOK_REQD for an expired password."""
        return self._call(self._pam.pam_acct_mgmt, flags)

    def change_expired_password(self) -> int:
        """pam_chauthtok(3): the status."""
        return self._call(self._pam.pam_chauthtok, Flag.CHANGE_EXPIRED_AUTHTOK)

    def set_credentials(self, flags: Flag) -> int:
        """pam_setcred(3): the status."""
        return self._call(self._pam.pam_setcred, flags)

    def open_session(self) -> int:
        """pam_open_session(3): the status."""
        return self._call(self._pam.pam_open_session, Flag.NONE)

    def close_session(self) -> int:
        """pam_close_session(3): the status."""
        return self._call(self._pam.pam_close_session, Flag.NONE)

    def reason(self, status: int) -> str:
        """The status in words."""
        text = self._pam.pam_strerror(self._handle, status)
        return (text or b"unknown error").decode("utf-8", "replace")

    def environment(self) -> dict[str, str]:
        """pam_getenvlist(3): the variables that modules want the user to have."""
        found: dict[str, str] = {}
        listed = self._pam.pam_getenvlist(self._handle)
        if not listed:
            return found
        try:
            for at in range(MAX_VARIABLES):
                if not listed[at]:
                    break
                entry = ctypes.string_at(listed[at]).decode("utf-8", "surrogateescape")
                self._libc.free(listed[at])
                name, equals, value = entry.partition("=")
                if name and equals:
                    found[name] = value
        finally:
            self._libc.free(listed)
        return found

    def end(self) -> None:
        """pam_end(3); calling it again does nothing."""
        if self._handle:
            self._pam.pam_end(self._handle, self._status)
            self._handle = ctypes.c_void_p()

    def _call(self, function: Any, flags: Flag) -> int:
        self._calls = 0
        self._status = function(self._handle, int(flags))
        return self._status

    def _must(self, status: int) -> None:
        if status != Status.SUCCESS:
            raise PamError(f"PAM: {self.reason(status)}")

    # ------------------------------------------------------------ called by PAM

    def _take_delay(self, _status: int, microseconds: int, _data: Any) -> None:
        """In the place of PAM's own sleep. A `_status` of 0 means success, which does not wait."""
        try:
            if _status != Status.SUCCESS and microseconds:
                self._pause(microseconds / 1_000_000)
        except BaseException as error:  # nothing may pass through C
            _complain(error)

    def _take_messages(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        try:
            return self._answer(count, messages, responses)
        except BaseException as error:  # nothing may pass through C
            _complain(error)
            return Status.CONV_ERR

    def _answer(self, count: int, messages: Any, responses: Any) -> int:
        self._calls += 1
        if not 0 < count <= MAX_MESSAGES or not responses or self._calls > MAX_CALLS:
            return Status.CONV_ERR
        responses[0] = ctypes.POINTER(_Response)()
        asked = [_read_message(messages[at].contents) for at in range(count)]
        answers = self.conversation(asked)
        if answers is None or len(answers) != count:
            return Status.CONV_ERR
        texts = [
            c_answer(answer or "") if message.is_prompt else None
            for message, answer in zip(asked, answers, strict=True)
        ]
        if any(message.is_prompt and text is None
               for message, text in zip(asked, texts, strict=True)):  # fmt: skip
            return Status.CONV_ERR
        return self._hand_over(texts, responses)

    def _hand_over(self, texts: list[bytes | None], responses: Any) -> int:
        """Copies in memory of the C library's own, which the module frees. Python's copies cannot
        be wiped; the monitor's memory is hidden from every process but root's."""
        size = ctypes.sizeof(_Response)
        memory = self._libc.calloc(len(texts), size)
        if not memory:
            return Status.BUF_ERR
        array = ctypes.cast(memory, ctypes.POINTER(_Response))
        for at, text in enumerate(texts):
            if text is None:
                continue
            copy = self._libc.calloc(1, len(text) + 1)
            if not copy:
                self._wipe(array, at)
                return Status.BUF_ERR
            ctypes.memmove(copy, text, len(text))
            array[at].text = copy
        responses[0] = array
        return Status.SUCCESS

    def _wipe(self, array: Any, count: int) -> None:
        for at in range(count):
            if array[at].text:
                ctypes.memset(array[at].text, 0, len(ctypes.string_at(array[at].text)))
                self._libc.free(array[at].text)
        self._libc.free(ctypes.cast(array, ctypes.c_void_p))


def no_answers(messages: list[Message]) -> Answers:
    """A conversation with nobody."""
    return None if any(message.is_prompt for message in messages) else [None] * len(messages)


def c_answer(text: str) -> bytes | None:
    """The answer as a C string without its NUL; None if it cannot be one that modules take."""
    data = text.encode("utf-8", "surrogateescape")
    return None if b"\0" in data or len(data) >= MAX_ANSWER else data


def _read_message(message: _Message) -> Message:
    """Raises ValueError for a style that PAM does not define: it might want an answer."""
    text = (message.text or b"").decode("utf-8", "replace")
    return Message(Style(message.style), text[:MAX_TEXT])


def _complain(error: BaseException) -> None:
    with contextlib.suppress(Exception):
        _log.error("conversation failed: %s: %s", type(error).__name__, error)


def _libraries() -> tuple[Any, Any]:
    """libpam and libc, with types for what is called. Raises PamError."""
    try:
        pam, libc = ctypes.CDLL(LIBRARY), ctypes.CDLL(None)
    except OSError:
        raise PamError(f"UsePAM needs {LIBRARY}, which is not installed") from None
    handle, status, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    pam.pam_start.argtypes = (text, text, ctypes.POINTER(_Conversation), ctypes.POINTER(handle))
    pam.pam_set_item.argtypes = (handle, status, ctypes.c_void_p)
    pam.pam_get_item.argtypes = (handle, status, ctypes.c_void_p)
    for name in ("authenticate", "acct_mgmt", "chauthtok", "setcred", "open_session",
                 "close_session", "end", "strerror"):  # fmt: skip
        getattr(pam, f"pam_{name}").argtypes = (handle, status)
    pam.pam_strerror.restype = text
    pam.pam_getenvlist.argtypes = (handle,)
    pam.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_void_p)
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.calloc.restype = ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    libc.free.restype = None
    return pam, libc
