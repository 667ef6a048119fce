"""A login as the monitor sees it: requests to be judged, and questions to the user in between.

While a module of PAM waits for the user, or lets a failure last, the monitor's loop goes on within
the request: it has to answer the worker's small requests, and to see its end and the deadline.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from qsh.server.listener.link import REAL
from qsh.server.listener.penalties import REPORT, Offence
from qsh.server.monitor.login_check import LoginCheck
from qsh.server.monitor.messages import (
    AnswerQuestions,
    CheckLogin,
    LoginVerdict,
    NewPasswordWanted,
    Outcome,
    Questions,
)
from qsh.server.monitor.rules import Stage
from qsh.server.monitor.time_limit import time_limit
from qsh.wire.userauth_messages import InfoRequest

MAX_PAUSE = 10.0
"""Seconds for a failure to last."""


class Loop(Protocol):
    """As much of the monitor as a login needs."""

    @property
    def has_worker(self) -> bool:
        """Whether somebody waits for the verdict."""

    def turn(self, patience: float | None) -> None:
        """Deal with what is there."""

    def patience(self) -> float | None:
        """Seconds until LoginGraceTime is over."""

    def reply(self, answer: Questions) -> None:
        """To the worker."""


@dataclass(slots=True)
class LoginDialogue:
    """The logins of one connection. `check` is made once the attestation is signed."""

    loop: Loop
    check: LoginCheck | None = None
    stage: Stage = Stage.IDLE
    _has_spoken: bool = False
    _has_failed: bool = False
    _answers: tuple[str, ...] | None = None
    _instead: CheckLogin | None = None

    def judge(
        self, request: CheckLogin, deadline: float | None
    ) -> LoginVerdict | NewPasswordWanted | None:
        """The verdict on one request. While the user is asked a request takes the place of the
        answers, and has no reply of its own: the client has given up that attempt (RFC 4252
        section 5)."""
        assert self.check is not None
        if self.stage is Stage.ASKING:
            self._instead = request
            return None
        self.stage = Stage.CHECKING
        verdict, self._instead = None, request
        with time_limit(deadline):
            while self._instead is not None:  # also for what has been given up
                request, self._instead = self._instead, None
                verdict = self.check.check(request)
        self.stage = Stage.IDLE
        self._has_spoken = True
        if isinstance(verdict, LoginVerdict) and request.method != "none":
            self._has_failed |= verdict.outcome in (Outcome.REFUSED, Outcome.TOO_MANY)
        return verdict

    def report(self, *, is_late: bool, has_ended: bool) -> bytes:
        """For the listener, once the worker is gone: what the client did wrong, if it did not
        come in. `is_late`: by LoginGraceTime; `has_ended`: the worker said that it is the end."""
        if self.check is not None and self.check.login is not None:
            return b""
        offence = Offence.AUTHFAIL if self._has_failed else Offence.NOAUTH
        if is_late or not has_ended:
            offence = Offence.GRACE if is_late else Offence.CRASH
        return (REAL if self._has_spoken else b"") + REPORT + offence.value

    def answer(self, request: AnswerQuestions) -> None:
        """What the user said. `ask` takes it from here; the verdict is the reply."""
        self._answers = request.responses
        self.stage = Stage.CHECKING

    def ask(self, request: InfoRequest) -> tuple[str, ...] | None:
        """Called by a module of PAM, while `judge` waits for it."""
        assert self.check is not None
        self._answers, self.stage = None, Stage.ASKING
        self.loop.reply(Questions(self.check.take_banner(), request))
        while self._is_waiting():
            self.loop.turn(self.loop.patience())
        self.stage = Stage.CHECKING
        answers, self._answers = self._answers, None
        return answers

    def _is_waiting(self) -> bool:
        return self.loop.has_worker and self._answers is None and self._instead is None

    def pause(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """As well: time for a failure to last."""
        end = clock() + min(seconds, MAX_PAUSE)
        while self.loop.has_worker and (left := end - clock()) > 0:
            patience = self.loop.patience()
            self.loop.turn(left if patience is None else min(left, patience))
