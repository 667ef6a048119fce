"""PerSourcePenalties: who misbehaved waits, as with sshd."""

import pytest

from qsh.config.server_settings import PerSourcePenalties
from qsh.server.listener.penalties import REPORT, Offence, Penalties, offence_of

HOST = "192.0.2.1"


def penalties(**rules):
    return Penalties(PerSourcePenalties(**rules))


def test_who_did_nothing_may_come():
    assert penalties().refusal(HOST, 0.0) == ""


def test_a_crash_counts_at_once_and_ends():
    one = penalties()
    one.add(HOST, Offence.CRASH, 100.0)
    assert "caused crash" in one.refusal(HOST, 101.0)
    assert one.refusal("192.0.2.2", 101.0) == ""
    assert "caused crash" in one.refusal(HOST, 189.0)
    assert one.refusal(HOST, 191.0) == ""
    assert len(one) == 0


def test_small_offences_add_up():
    one = penalties()
    for second in range(3):
        one.add(HOST, Offence.AUTHFAIL, float(second))
        assert one.refusal(HOST, second) == ""  # 15 s at most: remembered only
    one.add(HOST, Offence.AUTHFAIL, 3.0)
    assert one.refusal(HOST, 3.0) == "penalty: failed authentication"
    assert one.refusal(HOST, 19.0) != ""
    assert one.refusal(HOST, 21.0) == ""


def test_there_is_a_most():
    one = penalties(longest=60.0)
    for _ in range(100):
        one.add(HOST, Offence.CRASH, 0.0)
    assert one.refusal(HOST, 59.0)
    assert one.refusal(HOST, 61.0) == ""


def test_networks_are_one_source():
    one = Penalties(PerSourcePenalties(), "", 24, 64)
    one.add(HOST, Offence.CRASH, 0.0)
    one.add("2001:db8::1", Offence.CRASH, 0.0)
    assert one.refusal("192.0.2.200", 1.0)
    assert one.refusal("2001:db8::ffff:1", 1.0)
    assert one.refusal("192.0.3.1", 1.0) == ""
    assert one.refusal("::ffff:192.0.2.7", 1.0)


def test_who_is_exempt():
    one = Penalties(PerSourcePenalties(), "192.0.2.0/24,::1/128")
    one.add(HOST, Offence.CRASH, 0.0)
    assert one.refusal(HOST, 1.0) == ""


def test_no_penalties():
    one = Penalties(None)
    one.add(HOST, Offence.CRASH, 0.0)
    assert one.refusal(HOST, 1.0) == ""


def test_too_many_sources_are_forgotten_oldest_first():
    one = penalties(most_ipv4=2, most_ipv6=2)
    for number in range(4):
        one.add(f"192.0.2.{number}", Offence.CRASH, float(number))
    assert len(one) == 2
    assert one.refusal("192.0.2.0", 5.0) == ""
    assert one.refusal("192.0.2.3", 5.0)


def test_or_nobody_comes_in():
    one = penalties(most_ipv4=2, most_ipv6=2, overflow="deny-all")
    for number in range(3):
        one.add(f"192.0.2.{number}", Offence.CRASH, float(number))
    assert one.refusal("198.51.100.1", 5.0) == "penalty: too many sources with penalties"
    assert one.refusal("2001:db8::1", 5.0) == ""
    assert one.refusal("198.51.100.1", 95.0) == ""


@pytest.mark.parametrize("offence", Offence)
def test_reports(offence):
    assert offence_of(REPORT + offence.value) is offence


@pytest.mark.parametrize("other", [b"", b"+", b"p", b"pz", b"c"])
def test_other_news(other):
    assert offence_of(other) is None
