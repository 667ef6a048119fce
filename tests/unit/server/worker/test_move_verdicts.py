"""Forged addresses neither keep the client from its next one nor use up the monitor's patience."""

from qsh.server.monitor.messages import MayMove
from qsh.server.monitor.moves import MOVE_RULES
from qsh.server.worker.move_verdicts import (
    AT_ONCE,
    EXPIRY,
    MAX_QUESTIONS,
    PER_SECOND,
    MoveVerdicts,
)

HOME, NEXT = "192.0.2.1", "198.51.100.7"


def test_home_is_never_asked_about():
    verdicts = MoveVerdicts(HOME)
    assert verdicts.get(HOME, 0.0)
    verdicts.moved_to(NEXT)
    assert verdicts.get(HOME, 10 * EXPIRY)


def test_a_verdict_holds_for_a_while_and_where_the_client_is():
    verdicts = MoveVerdicts(HOME)
    assert verdicts.get(NEXT, 0.0) is None
    verdicts.put(NEXT, 0.0, allowed=True)
    verdicts.put("203.0.113.1", 0.0, allowed=False)
    assert verdicts.get(NEXT, EXPIRY - 1) is True
    assert verdicts.get("203.0.113.1", EXPIRY - 1) is False
    verdicts.moved_to(NEXT)
    verdicts.put("203.0.113.2", 2 * EXPIRY, allowed=False)
    assert verdicts.get(NEXT, 2 * EXPIRY) is True
    assert verdicts.get("203.0.113.1", 2 * EXPIRY) is None


def flood(verdicts, seconds, rate=100):
    """Forged addresses without end; how many the monitor was asked about."""
    asked = 0
    for number in range(seconds * rate):
        host, now = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", number / rate
        if verdicts.get(host, now) is None and verdicts.may_ask(now):
            verdicts.put(host, now, allowed=True)
            asked += 1
    return asked


def test_after_a_flood_there_is_room_again():
    verdicts = MoveVerdicts(HOME)
    assert flood(verdicts, 300) <= AT_ONCE + 300 * PER_SECOND
    assert len(verdicts._verdicts) <= AT_ONCE + EXPIRY * PER_SECOND
    assert verdicts.may_ask(301.0)


def test_the_monitor_is_never_asked_so_often_that_it_ends_the_connection():
    assert flood(MoveVerdicts(HOME), 3600, rate=5) == MAX_QUESTIONS
    assert MOVE_RULES[MayMove].times > MAX_QUESTIONS
