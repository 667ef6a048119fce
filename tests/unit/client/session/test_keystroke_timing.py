"""Keystrokes leave at the pace of a clock, and chaff hides their end."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qsh.client.session.keystroke_timing import (
    BULK,
    CHAFF_LEAST,
    CHAFF_MORE,
    FUZZ,
    KeystrokeTiming,
)

INTERVAL = 0.02


def play(keys, seed=1):
    """When packets leave, and whether each is a key, for keys typed at these times."""
    timing = KeystrokeTiming(INTERVAL, random.Random(seed))
    keys, now, sent, waiting = sorted(keys), 0.0, [], 0
    while keys or waiting or timing.chaff_at is not None:
        when = timing.typed(waiting, now) if waiting else timing.chaff_at
        if keys and (when is None or keys[0] < when):
            now, waiting = keys.pop(0), waiting + 1
            continue
        now = max(now, when)
        sent.append((now, waiting > 0))
        waiting = 0
        timing.sent(when)
    return sent


def test_the_first_key_leaves_at_once_and_is_followed_by_chaff():
    (first, is_key), *chaff = play([5.0])
    assert (first, is_key) == (5.0, True)
    assert not any(is_key for _, is_key in chaff)
    assert CHAFF_LEAST - INTERVAL < chaff[-1][0] - first < CHAFF_LEAST + CHAFF_MORE + 2 * INTERVAL


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), st.integers())
def test_the_times_of_packets_do_not_depend_on_the_keys_between(keys, seed):
    times = [when for when, _ in play([0.0, *keys], seed)]
    for before, after in pairwise(times):
        assert INTERVAL * (1 - FUZZ) - 1e-9 <= after - before <= INTERVAL * (1 + FUZZ) + 1e-9


def test_a_paste_waits_for_nothing():
    timing = KeystrokeTiming(INTERVAL)
    assert timing.typed(1, 1.0) == 1.0
    timing.sent(1.0)
    assert timing.typed(1, 1.001) > 1.001
    assert timing.typed(BULK, 1.001) == 1.001
