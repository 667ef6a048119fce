"""The rules of silence: when to probe, and how long a path may be quiet."""

from hypothesis import given
from hypothesis import strategies as st

from qsh.net.liveness import KeepAlive, Silence, patience, probe_interval

TIMES = st.floats(0, 1e6)


def test_probes_go_out_ten_times_a_second_for_two_minutes():
    assert {probe_interval(silence) for silence in (0, 1, 30, 119)} == {0.1}


def test_and_seldom_after_a_night():
    assert probe_interval(8 * 3600) == 24
    assert probe_interval(1e6) == 60


@given(TIMES, TIMES)
def test_probes_never_grow_more_frequent(one, other):
    early, late = sorted((one, other))
    assert probe_interval(early) <= probe_interval(late)


def test_a_slow_path_is_given_more_time():
    assert patience(0.01) == 0.5
    assert patience(0.6) > 1.5


def test_silence_counts_only_while_an_answer_is_owed():
    silence = Silence(10)
    assert silence.length(50) == 0
    silence.sent(50)
    assert silence.length(53) == 3
    silence.sent(52)
    assert silence.length(53) == 3
    silence.heard(54)
    assert silence.length(55) == 1
    silence.settled()
    assert silence.length(60) == 0
    assert silence.since_heard(60) == 6


def pauses(policy, count):
    found = []
    for _ in range(count):
        found.append(policy.interval)
        policy.tried()
    return found


def test_pauses_double_while_the_nat_remembers():
    assert pauses(KeepAlive(), 6) == [25, 50, 100, 180, 180, 180]


def test_less_than_three_packets_a_minute_when_idle():
    """Ours and their acknowledgements, in every minute of the first hour."""
    policy, now, minutes = KeepAlive(), 0.0, {}
    while now < 3600:
        now += policy.interval
        policy.tried()
        minutes[int(now // 60)] = minutes.get(int(now // 60), 0) + 2
    assert max(minutes.values()) <= 2
    assert sum(minutes.values()) <= 60


def test_a_nat_that_forgets_halves_the_pauses_for_good():
    policy = KeepAlive()
    assert pauses(policy, 3) == [25, 50, 100]
    policy.forgotten()
    assert pauses(policy, 5) == [50] * 5
    policy.moved()
    assert policy.interval == 25


def test_pauses_have_a_floor():
    policy = KeepAlive()
    for _ in range(10):
        policy.tried()
        policy.forgotten()
    assert policy.interval == 10


def test_a_users_own_interval_is_the_longest():
    assert pauses(KeepAlive(15), 4) == [15] * 4
