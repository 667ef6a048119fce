"""A daemon for one visit ends when the visit is over, or nobody came."""

from qsh.server.listener.idleness import AFTER_VISIT, FIRST_VISIT, Idleness


def test_the_first_visitor_has_a_minute():
    idleness = Idleness(100.0)
    assert idleness.left(0, 100.0) == FIRST_VISIT
    assert idleness.left(0, 100.0 + FIRST_VISIT) == 0


def test_nobody_is_thrown_out():
    idleness = Idleness(0.0)
    assert idleness.left(1, 1_000_000.0) > 0


def test_after_the_last_one_it_ends_soon():
    idleness = Idleness(0.0)
    idleness.left(2, 10.0)
    idleness.left(1, 20.0)
    assert idleness.left(0, 20.0 + AFTER_VISIT / 2) > 0
    assert idleness.left(0, 20.0 + AFTER_VISIT) == 0


def test_who_comes_back_in_time_may_stay():
    idleness = Idleness(0.0)
    idleness.left(1, 10.0)
    idleness.left(1, 12.0)
    assert idleness.left(0, 14.0) == AFTER_VISIT - 2.0
