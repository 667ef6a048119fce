"""What a login still needs, how often one may try, and how long a refusal takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.policy import (
    MAX_FAILURE_DELAY,
    MIN_FAILURE_DELAY,
    LoginPolicy,
    Outcome,
    failure_delay,
    parse_method_lists,
)

ALL = ("publickey", "password", "keyboard-interactive")
ACCEPTED, PARTIAL, REFUSED, TOO_MANY = Outcome
TWO_FACTORS = ("publickey", "password")
TWO_KEYS = ("publickey", "publickey")


@pytest.mark.parametrize(
    ("words", "available", "lists"),
    [
        ([], ALL, ()),
        (["any"], ALL, ()),
        (["publickey"], ALL, (("publickey",),)),
        (["publickey,password", "password"], ALL, (("publickey", "password"), ("password",))),
        (["publickey,hostbased", "password"], ALL, (("password",),)),
        (["publickey,keyboard-interactive:pam"], ALL, (("publickey", "keyboard-interactive:pam"),)),
    ],
)
def test_lists_are_read(words, available, lists):
    assert parse_method_lists(words, available) == lists


@pytest.mark.parametrize(
    "words", [["publickey,"], [""], ["any", "password"], ["none"], ["hostbased"], [",,"]]
)
def test_bad_lists_are_refused(words):
    with pytest.raises(ValueError):
        parse_method_lists(words, ALL)


@pytest.mark.parametrize(
    ("lists", "steps", "outcomes", "then"),
    [
        ((), ["password"], [ACCEPTED], ALL),
        ([TWO_FACTORS], ["publickey", "password"], [PARTIAL, ACCEPTED], ("password",)),
        ([("publickey", "password")], ["password"], [REFUSED], ("publickey",)),
        (
            [("publickey", "password"), ("publickey", "keyboard-interactive")],
            ["publickey", "keyboard-interactive"], [PARTIAL, ACCEPTED],
            ("password", "keyboard-interactive"),
        ),
        ([TWO_KEYS], ["publickey", "publickey"], [PARTIAL, ACCEPTED], ("publickey",)),
        ([("password",), ("publickey", "password")], ["password"], [ACCEPTED], ALL[:2]),
    ],
)
def test_lists_lead_to_the_login(lists, steps, outcomes, then):
    policy = LoginPolicy(ALL, lists)
    found = [policy.succeeded(step, fingerprint=f"{n}") for n, step in enumerate(steps)]
    assert found == outcomes
    assert policy.methods == then


def test_a_device_may_be_wanted():
    policy = LoginPolicy(ALL, [("keyboard-interactive:pam",)])
    assert policy.succeeded("keyboard-interactive", "bsdauth") is REFUSED
    assert policy.succeeded("keyboard-interactive", "pam") is ACCEPTED


def test_a_key_counts_once():
    policy = LoginPolicy(ALL, [("publickey", "publickey")])
    assert policy.succeeded("publickey", fingerprint="SHA256:a") is PARTIAL
    assert not policy.may_use_key("SHA256:a")
    assert policy.succeeded("publickey", fingerprint="SHA256:a") is REFUSED
    assert policy.succeeded("publickey", fingerprint="SHA256:b") is ACCEPTED


def test_tries_run_out():
    policy = LoginPolicy(ALL, max_tries=3)
    assert policy.failed("none") is REFUSED
    assert policy.tries_left == 3
    assert [policy.failed("password") for _ in range(3)] == [REFUSED, REFUSED, TOO_MANY]
    assert policy.tries_left == 0


def test_none_is_free_once_and_first():
    policy = LoginPolicy(ALL, max_tries=2)
    assert [policy.failed("none") for _ in range(3)] == [REFUSED, REFUSED, TOO_MANY]
    policy = LoginPolicy(ALL, max_tries=1)
    assert policy.failed("password") is TOO_MANY


def test_a_method_that_is_not_offered_never_succeeds():
    policy = LoginPolicy(("publickey",), max_tries=2)
    assert policy.succeeded("password") is REFUSED
    assert policy.succeeded("none") is TOO_MANY


@given(st.lists(st.sampled_from([*ALL, "none", "hostbased"]), max_size=8))
def test_nothing_but_a_whole_list_is_accepted(steps):
    policy = LoginPolicy(ALL, [("publickey", "password")], max_tries=100)
    outcomes = [policy.succeeded(step) for step in steps]
    if ACCEPTED in outcomes:
        before = steps[: outcomes.index(ACCEPTED) + 1]
        assert "publickey" in before[:-1]
        assert before[-1] == "password"


@given(st.floats(0, 20), st.text(max_size=20))
def test_a_refusal_takes_the_same_time_whatever_was_done(elapsed, user):
    delay = failure_delay(elapsed, b"secret", user)
    if elapsed > MAX_FAILURE_DELAY:
        assert delay == 0
        return
    base = failure_delay(0, b"secret", user)
    assert MIN_FAILURE_DELAY <= base < 2 * MIN_FAILURE_DELAY
    assert delay >= 0
    assert (elapsed + delay) / base == pytest.approx(2 ** round_log2((elapsed + delay) / base))


def round_log2(value):
    return max(0, round(value).bit_length() - 1)


def test_what_comes_after_too_many_failures_counts_for_nothing():
    policy = LoginPolicy(["publickey"], max_tries=1)
    assert policy.failed("publickey") is Outcome.TOO_MANY
    assert policy.succeeded("publickey") is Outcome.TOO_MANY
