"""Settings and key options as rules: OpenSSH's matrix."""

import itertools

import pytest

from qsh.auth.authorized_keys import Permissions
from qsh.config.server_settings import ServerSettings
from qsh.forward.permissions import (
    Endpoint,
    may_connect,
    may_connect_unix,
    may_forward_agent,
    may_forward_x11,
    may_listen,
    may_listen_unix,
    permits_nothing,
    permitted_unit,
)
from qsh.server.monitor.forward_rules import rules_of_key, rules_of_settings
from qsh.wire.forward_messages import ANY_UNIT, ETHERNET, POINT_TO_POINT


def key(**values):
    return rules_of_key(Permissions(**values))


@pytest.mark.parametrize(
    ("value", "local", "remote"),
    [("yes", True, True), ("no", False, False), ("local", True, False), ("remote", False, True)],
)
def test_directions(value, local, remote):
    rules = (rules_of_settings(ServerSettings(allow_tcp_forwarding=value)), key())
    assert may_connect(rules, "web", 80) is local
    assert may_listen(rules, "localhost", 8080, 1000) is remote
    assert may_connect_unix(rules)
    rules = (rules_of_settings(ServerSettings(allow_stream_local_forwarding=value)), key())
    assert may_connect_unix(rules) is local
    assert may_listen_unix(rules) is remote
    assert may_connect(rules, "web", 80)


@pytest.mark.parametrize(
    ("disabled", "allowed", "by_key"), [*itertools.product([False, True], repeat=3)]
)
def test_the_agent(disabled, allowed, by_key):
    settings = ServerSettings(disable_forwarding=disabled, allow_agent_forwarding=allowed)
    rules = (rules_of_settings(settings), key(agent_forwarding=by_key))
    assert may_forward_agent(rules) is (allowed and by_key and not disabled)


def test_disable_forwarding_leaves_nothing():
    assert permits_nothing((rules_of_settings(ServerSettings(disable_forwarding=True)), key()))


def test_a_restricted_key_leaves_nothing():
    restricted = key(port_forwarding=False, agent_forwarding=False)
    assert permits_nothing((rules_of_settings(ServerSettings()), restricted))


def test_port_zero_of_a_permit_is_any():
    rules = rules_of_settings(ServerSettings(permit_open=(("web", 0), ("*", 443))))
    assert rules.opens == (Endpoint("web", None), Endpoint("*", 443))
    assert key(permitlisten=(("*", 8080),)).listens == (Endpoint("*", 8080),)
    assert rules_of_settings(ServerSettings(permit_listen=())).listens == ()


def test_both_must_permit():
    settings = rules_of_settings(ServerSettings(permit_open=(("web", 80),)))
    for permitted, result in (((("web", 80),), True), ((("db", 1),), False), (None, True)):
        assert may_connect((settings, key(permitopen=permitted)), "web", 80) is result
        assert not may_connect((settings, key(permitopen=permitted)), "db", 1)


WEB, OTHERS = (("web", 80),), (("db", 5432), ("*", 443))
PERMITS = [(None, True), (WEB, True), (OTHERS, False), ((), False), ((("web", 0),), True)]
"""A list of places, and whether web:80 is among them."""


@pytest.mark.parametrize("direction", ["yes", "no", "local", "remote"])
@pytest.mark.parametrize("is_off", [False, True])
@pytest.mark.parametrize("by_key", [False, True])
def test_the_whole_matrix(direction, is_off, by_key):
    """AllowTcpForwarding x DisableForwarding x PermitOpen, PermitListen x the key's own words:
    every one of them has to say yes."""
    for (theirs, in_theirs), (own, in_own) in itertools.product(PERMITS, repeat=2):
        settings = ServerSettings(
            allow_tcp_forwarding=direction, disable_forwarding=is_off, permit_open=theirs,
            permit_listen=theirs,
        )  # fmt: skip
        permissions = key(port_forwarding=by_key, permitopen=own, permitlisten=own)
        rules = (rules_of_settings(settings), permissions)
        all_agree = not is_off and by_key and in_theirs and in_own
        assert may_connect(rules, "web", 80) is (all_agree and direction in ("yes", "local"))
        assert may_listen(rules, "web", 80, 0) is (all_agree and direction in ("yes", "remote"))


@pytest.mark.parametrize(
    ("disabled", "allowed", "by_key"), [*itertools.product([False, True], repeat=3)]
)
def test_x11(disabled, allowed, by_key):
    settings = ServerSettings(disable_forwarding=disabled, x11_forwarding=allowed)
    rules = (rules_of_settings(settings), key(x11_forwarding=by_key))
    assert may_forward_x11(rules) is (allowed and by_key and not disabled)


MODES = {"no": (), "yes": (POINT_TO_POINT, ETHERNET), "point-to-point": (POINT_TO_POINT,),
         "ethernet": (ETHERNET,)}  # fmt: skip


@pytest.mark.parametrize("value", MODES)
@pytest.mark.parametrize("mode", [POINT_TO_POINT, ETHERNET, 0, 3, 4])
@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize(
    ("option", "asked", "got"),
    [(None, 3, 3), (None, ANY_UNIT, ANY_UNIT), (-1, 3, 3), (7, ANY_UNIT, 7), (7, 7, 7),
     (7, 3, None)],
)  # fmt: skip
def test_tunnels(value, mode, disabled, by_key, option, asked, got):
    settings = ServerSettings(permit_tunnel=value, disable_forwarding=disabled)
    rules = (rules_of_settings(settings), key(port_forwarding=by_key, tunnel=option))
    is_permitted = mode in MODES[value] and not disabled and by_key
    assert permitted_unit(rules, mode, asked) == (got if is_permitted else None)
