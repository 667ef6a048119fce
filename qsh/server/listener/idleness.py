"""When a daemon that was started for one visit has done its work. Pure; time is passed in.

Strangers do not count: only who has logged in keeps it alive.
"""

FIRST_VISIT = 60.0
"""Seconds for the one it was started for to come."""
AFTER_VISIT = 3.0
"""Seconds after the last one has left, with all kept sessions over."""


class Idleness:
    """From `now` on."""

    def __init__(self, now: float) -> None:
        self._end = now + FIRST_VISIT

    def left(self, visitors: int, now: float) -> float:
        """Seconds until the end, if nobody comes; `visitors` are there now."""
        if visitors:
            self._end = now + AFTER_VISIT
        return max(0.0, self._end - now)
