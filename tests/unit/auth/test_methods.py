"""The order of methods and identities."""

import pytest

from qsh.auth.methods import (
    FileIdentity,
    Identity,
    LoginPlan,
    choose_algorithm,
    optimistic_identity,
    order_identities,
)
from tests.key_making import ECDSA, ED25519, OTHER, RSA, SecurityKey, certify

A, B, C = ED25519.public, OTHER.public, RSA.public
CERTIFIED_A = certify(A)
TOUCH = SecurityKey().public


def names(identities):
    known = {A: "A", B: "B", C: "C", CERTIFIED_A: "A-cert", TOUCH: "T", None: "?"}
    return [known[i.public] + ("@" if i.in_agent else "") for i in identities]


@pytest.mark.parametrize(
    ("agent", "files", "only", "expected"),
    [
        ([], [], False, []),
        ([A, B], [], False, ["A@", "B@"]),
        ([A, B], [], True, []),
        ([A, B], [FileIdentity("b", B)], False, ["B@", "A@"]),
        ([A, B], [FileIdentity("b", B)], True, ["B@"]),
        ([B], [FileIdentity("a", A), FileIdentity("b", B)], False, ["B@", "A"]),
        ([], [FileIdentity("x"), FileIdentity("a", A)], False, ["?", "A"]),
        ([], [FileIdentity("a", A, (CERTIFIED_A,))], False, ["A-cert", "A"]),
        ([A], [FileIdentity("a", A, (CERTIFIED_A,))], False, ["A-cert@", "A@"]),
        ([A, B, CERTIFIED_A], [], False, ["A-cert@", "A@", "B@"]),
        ([], [FileIdentity("b", B, (CERTIFIED_A,))], False, ["B"]),
        ([], [FileIdentity("a", A), FileIdentity("copy", A)], False, ["A"]),
        ([A], [FileIdentity("a", A, encrypted=True)], False, ["A@"]),
    ],
)
def test_identities_are_tried_in_this_order(agent, files, only, expected):
    assert names(order_identities(agent, files, identities_only=only)) == expected


def test_what_last_worked_goes_first():
    files = [FileIdentity("c", C)]
    ordered = order_identities([A, B], files, last_worked=C.fingerprint())
    assert names(ordered) == ["C", "A@", "B@"]
    assert names(order_identities([A, B], files, last_worked="SHA256:x")) == ["A@", "B@", "C"]


@pytest.mark.parametrize(
    ("identity", "may"),
    [
        (Identity(A, "a"), True),
        (Identity(A, in_agent=True), True),
        (Identity(A, "a", encrypted=True), False),
        (Identity(A, "a", in_agent=True, encrypted=True), True),
        (Identity(TOUCH, in_agent=True), False),
        (Identity(None, "a"), False),
    ],
)
def test_only_what_needs_nobodys_hand_is_optimistic(identity, may):
    rest = Identity(B, "b")
    assert optimistic_identity([identity, rest]) == (identity if may else None)


def test_nothing_is_optimistic_without_identities():
    assert optimistic_identity([]) is None


def plan_of(identities, remaining, **more):
    plan = LoginPlan(identities, **more)
    tried = []
    while attempt := plan.next(remaining):
        suffix = names([attempt.identity])[0] if attempt.identity else str(attempt.number)
        tried.append(f"{attempt.method} {suffix}{'?' if attempt.query_first else ''}")
    return tried


ALL = ("publickey", "password", "keyboard-interactive", "hostbased")
TWO = (Identity(A, "a"), Identity(B, in_agent=True))


@pytest.mark.parametrize(
    ("remaining", "more", "expected"),
    [
        (("publickey",), {}, ["publickey A", "publickey B@?"]),
        (("password",), {}, ["password 1", "password 2", "password 3"]),
        (("password",), {"password_prompts": 1}, ["password 1"]),
        (
            ALL,
            {"password_prompts": 1},
            ["hostbased 1", "publickey A", "publickey B@?", "keyboard-interactive 1", "password 1"],
        ),
        (
            ALL,
            {"preferred": ("password", "publickey", "unknown"), "password_prompts": 1},
            ["password 1", "publickey A", "publickey B@?"],
        ),
        (ALL, {"enabled": ("publickey",)}, ["publickey A", "publickey B@?"]),
        (("gssapi-with-mic",), {}, []),
        ((), {}, []),
    ],
)
def test_methods_are_tried_in_the_preferred_order(remaining, more, expected):
    assert plan_of(TWO, remaining, **more) == expected


def test_identities_that_may_ask_are_offered_first():
    identities = (Identity(TOUCH, "t"), Identity(A, "a", encrypted=True), Identity(None, "x"))
    assert plan_of(identities, ("publickey",)) == [
        "publickey T?", "publickey A?", "publickey ?",
    ]


def test_what_went_out_in_the_first_flight_is_not_offered_again():
    plan = LoginPlan(TWO)
    plan.mark_tried(TWO[0])
    assert plan.next(("publickey",)).identity == TWO[1]
    assert plan.next(("publickey",)) is None


def test_after_partial_success_other_identities_count_again():
    plan = LoginPlan(TWO)
    plan.next(("publickey",))
    second = plan.next(("publickey",))
    plan.partial_success(second)
    assert plan.next(("publickey",)).identity == TWO[0]
    assert plan.next(("publickey",)) is None


def test_the_server_decides_what_comes_next():
    plan = LoginPlan(TWO)
    first = plan.next(("publickey",))
    plan.partial_success(first)
    assert plan.next(("password",)).method == "password"


def test_a_method_that_cannot_work_is_given_up():
    plan = LoginPlan(())
    assert plan.next(("keyboard-interactive", "password")).method == "keyboard-interactive"
    plan.give_up("keyboard-interactive")
    assert plan.next(("keyboard-interactive", "password")).method == "password"


@pytest.mark.parametrize(
    ("key", "accepted", "server", "chosen"),
    [
        (A, "*", None, "ssh-ed25519"),
        (C, "*", None, "rsa-sha2-512"),
        (C, "*", ("rsa-sha2-256", "ssh-rsa"), "rsa-sha2-256"),
        (C, "*", ("ssh-rsa",), None),
        (C, "rsa-sha2-256,ssh-*", None, "rsa-sha2-256"),
        (C, "ssh-*", None, None),
        (A, "!ssh-ed25519,*", None, None),
        (certify(C), "*", ("rsa-sha2-256",), "rsa-sha2-256-cert-v01@openssh.com"),
        (CERTIFIED_A, "*", (CERTIFIED_A.algorithm,), CERTIFIED_A.algorithm),
        (ECDSA[256].public, "*", ("ssh-ed25519",), None),
    ],
)
def test_the_algorithm_is_one_that_both_accept(key, accepted, server, chosen):
    assert choose_algorithm(key, accepted, server) == chosen
