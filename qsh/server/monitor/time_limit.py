"""An end to what cannot be talked out of it: a module of PAM that never returns."""

import contextlib
import signal
import time
from collections.abc import Iterator

from qsh.server.listener.limits import GRACE_MARGIN

STUCK_MARGIN = 5.0
"""Seconds to return after LoginGraceTime."""


@contextlib.contextmanager
def time_limit(deadline: float | None) -> Iterator[None]:
    """SIGALRM ends this process (the monitor, whose end ends the worker) some time after the
    deadline, on the monotonic clock; None for no limit."""
    if deadline is not None:
        left = max(0.0, deadline - time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, left + GRACE_MARGIN + STUCK_MARGIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
