"""When each step of the start was reached: lines at -vvv, for whoever makes it faster."""

import time

from qsh import log

_start = time.monotonic()
_log = log.logger("timeline")


def mark(step: str) -> None:
    """The step is reached now: wall-clock time since this module was loaded, CPU time of the
    whole process."""
    if log.is_enabled(log.Level.DEBUG3):
        wall, cpu = time.monotonic() - _start, time.process_time()
        _log.debug3("%7.1f ms, %6.1f ms CPU: %s", wall * 1000, cpu * 1000, step)
