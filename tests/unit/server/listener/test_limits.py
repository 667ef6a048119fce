import pytest

from qsh.config.server_settings import MaxStartups
from qsh.server.listener.limits import RateLimit, Startups, source_block


def knocking(count, limits=MaxStartups(10, 30, 100), **more):  # noqa: B008
    startups = Startups(limits, **more)
    for number in range(count):
        startups.add(number, f"192.0.2.{number % 250}")
    return startups


def test_all_come_in_below_the_first_number():
    assert all(not knocking(9).refusal("192.0.2.9", roll) for roll in range(100))


@pytest.mark.parametrize(("count", "dropped"), [(10, 30), (55, 65), (99, 99), (100, 100)])
def test_the_share_rises_to_all(count, dropped):
    startups = knocking(count)
    assert sum(bool(startups.refusal("::1", roll)) for roll in range(100)) == dropped


def test_a_login_makes_room():
    startups = knocking(100)
    assert startups.refusal("::1", 99)
    for number in range(95):
        startups.remove(number)
        startups.remove(number)
    assert len(startups) == 5
    assert not startups.refusal("::1", 0)


def test_per_source():
    startups = Startups(MaxStartups(), per_source=2, ipv4_bits=24)
    startups.add(1, "192.0.2.1")
    startups.add(2, "::ffff:192.0.2.77")
    assert startups.refusal("192.0.2.5", 99) == "per-source limit"
    assert not startups.refusal("192.0.3.5", 99)
    startups.remove(1)
    assert not startups.refusal("192.0.2.5", 99)


def test_retry_is_asked_before_anybody_is_dropped():
    assert not knocking(4).wants_retry
    assert knocking(5).wants_retry


def test_source_block():
    assert source_block("2001:db8::1", 32, 64) == "2001:db8::/64"


def test_rate_limit():
    limit = RateLimit(rate=2, burst=3)
    assert [limit.allows(0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.allows(0.5)
    assert not limit.allows(0.5)
