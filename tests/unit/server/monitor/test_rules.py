import pytest

from qsh.server.monitor.rules import NotPermitted, Rule, Stage


def check(rule, count=1, stage=Stage.IDLE, *, is_attested=True, is_logged_in=False):
    rule.check("Name", count, stage, is_attested=is_attested, is_logged_in=is_logged_in)


def rule(**terms):
    return Rule(lambda *_: None, **terms)


def test_what_is_permitted():
    check(rule())
    check(rule(times=2), 2)
    check(rule(attested=False), is_attested=False)
    check(rule(logged_in=True), is_logged_in=True)
    check(rule(stages=frozenset({Stage.ASKING})), stage=Stage.ASKING)
    for stage in Stage:
        check(rule(), stage=stage)


@pytest.mark.parametrize(
    ("terms", "state", "why"),
    [
        ({"times": 2}, {"count": 3}, "for the 3th time"),
        ({}, {"is_attested": False}, "before the attestation"),
        ({"logged_in": True}, {}, "before the login"),
        ({"logged_in": False}, {"is_logged_in": True}, "after the login"),
        ({"stages": frozenset({Stage.IDLE})}, {"stage": Stage.CHECKING}, "is checking"),
    ],
)
def test_what_is_not(terms, state, why):
    with pytest.raises(NotPermitted, match=why):
        check(rule(**terms), **state)
