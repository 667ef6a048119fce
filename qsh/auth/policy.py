"""The server's side of a login: what is still needed, how often one may try, how long it takes.

AuthenticationMethods, MaxAuthTries and the delays of OpenSSH's auth2.c. Pure: no keys, no clock.
"""

from collections.abc import Sequence
from enum import Enum

MAX_TRIES = 6
"""MaxAuthTries by default."""
MIN_FAILURE_DELAY = 0.005
MAX_FAILURE_DELAY = 5.0
"""Seconds. A refusal takes at least the first, so that its time tells nothing (auth2.c)."""

MethodList = tuple[str, ...]
"""Methods that must succeed in this order, each perhaps with `:device` or `:pam`."""


class Outcome(Enum):
    """What follows from a try."""

    ACCEPTED = "accepted"
    PARTIAL = "partial"
    REFUSED = "refused"
    TOO_MANY = "too many"


def parse_method_lists(words: Sequence[str], available: Sequence[str]) -> tuple[MethodList, ...]:
    """AuthenticationMethods as lists; empty for `any`, or for no words at all.

    Lists that need a method that is not `available` are left out; raises ValueError if that
    leaves none, or for an empty or malformed list.
    """
    if not words or list(words) == ["any"]:
        return ()
    lists = []
    for word in words:
        methods = tuple(word.split(","))
        if word == "any" or not all(methods) or any(_name(m) == "none" for m in methods):
            raise ValueError(f"bad list of authentication methods {word!r}")
        if all(_name(method) in available for method in methods):
            lists.append(methods)
    if not lists:
        raise ValueError("no list of AuthenticationMethods can be satisfied")
    return tuple(lists)


def _name(method: str) -> str:
    return method.partition(":")[0]


class LoginPolicy:
    """The state of one connection's login.

    `available` are the methods that the server offers at all; `lists` comes from
    `parse_method_lists` (empty: any one method is enough).
    """

    def __init__(
        self,
        available: Sequence[str],
        lists: Sequence[MethodList] = (),
        *,
        max_tries: int = MAX_TRIES,
    ) -> None:
        self._available = tuple(available)
        self._lists = tuple(lists)
        self._max_tries = max_tries
        self._failures = 0
        self._attempts = 0
        self._used_keys: set[str] = set()

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that may come next, for SSH_MSG_USERAUTH_FAILURE."""
        if not self._lists:
            return self._available
        first = {_name(methods[0]) for methods in self._lists}
        return tuple(method for method in self._available if method in first)

    @property
    def tries_left(self) -> int:
        return max(0, self._max_tries - self._failures)

    def may_try(self, method: str) -> bool:
        """Whether the method can lead on now. `none` never does, but asking is allowed."""
        return method in self.methods

    def may_use_key(self, fingerprint: str) -> bool:
        """A key counts once: two times publickey needs two keys."""
        return fingerprint not in self._used_keys

    def succeeded(self, method: str, detail: str = "", fingerprint: str = "") -> Outcome:
        """The method's proof was good: ACCEPTED, PARTIAL (say so, with `methods`), or REFUSED
        if no list wanted it now. `detail` is the device of keyboard-interactive."""
        self._attempts += 1
        if not self.tries_left:  # a request sent ahead of the verdict that ended it all
            return Outcome.TOO_MANY
        if not self.may_try(method) or (fingerprint and not self.may_use_key(fingerprint)):
            return self._count_failure()
        if fingerprint:
            self._used_keys.add(fingerprint)
        if not self._lists:
            return Outcome.ACCEPTED
        left = tuple(
            methods[1:] if _fits(methods[0], method, detail) else methods
            for methods in self._lists
        )
        if left == self._lists:
            return self._count_failure()
        if () in left:
            return Outcome.ACCEPTED
        self._lists = left
        return Outcome.PARTIAL

    def failed(self, method: str) -> Outcome:
        """The proof was bad: REFUSED, or TOO_MANY (end the connection). The first `none` is how
        clients ask for the list of methods, and is free."""
        self._attempts += 1
        if method == "none" and self._attempts == 1:
            return Outcome.REFUSED
        return self._count_failure()

    def _count_failure(self) -> Outcome:
        self._failures += 1
        return Outcome.TOO_MANY if self._failures >= self._max_tries else Outcome.REFUSED


def _fits(wanted: str, method: str, detail: str) -> bool:
    name, colon, device = wanted.partition(":")
    return name == method and (not colon or device == detail)


def failure_delay(elapsed: float, secret: bytes, user: str) -> float:
    """Seconds still to wait before a refusal is sent, `elapsed` after the request came.

    The whole time is a power of two times a base that depends on the user's name under a secret of
    this process, so that neither work done nor a missing account shows (auth2.c,
    ensure_minimum_time_since).
    """
    import hmac

    digest = hmac.digest(secret, user.encode("utf-8", "surrogateescape"), "sha256")
    base = MIN_FAILURE_DELAY * (1 + int.from_bytes(digest[:4], "big") / 2**32)
    if elapsed > MAX_FAILURE_DELAY:
        return 0.0
    total = base
    while total < elapsed:
        total *= 2
    return total - max(elapsed, 0.0)
