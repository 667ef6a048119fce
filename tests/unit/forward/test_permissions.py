"""The matrix of rules: a forward needs every rule's consent."""

import pytest

from qsh.forward.permissions import (
    Endpoint,
    ForwardRules,
    GatewayPorts,
    asked_of_server,
    client_listens_at,
    may_connect,
    may_connect_unix,
    may_forward_agent,
    may_listen,
    may_listen_unix,
    permits_nothing,
    server_listens_at,
)

ALL = ForwardRules()
NONE = ForwardRules(opens=(), listens=())
WEB = ForwardRules(opens=(Endpoint("web", 80),), listens=(Endpoint("*", 8080),))


@pytest.mark.parametrize(
    ("rules", "web", "other"),
    [
        ((), True, True),
        ((ALL,), True, True),
        ((ALL, WEB), True, False),
        ((WEB, ALL), True, False),
        ((WEB, NONE), False, False),
        ((ForwardRules(local=False),), False, False),
        ((ForwardRules(remote=False),), True, True),
        ((WEB, ForwardRules(opens=(Endpoint("*", 80),))), True, False),
        ((WEB, ForwardRules(opens=(Endpoint("web", None),))), True, False),
        ((WEB, ForwardRules(opens=(Endpoint("db", None),))), False, False),
    ],
)
def test_connecting(rules: tuple[ForwardRules, ...], web: bool, other: bool) -> None:
    assert may_connect(rules, "web", 80) is web
    assert may_connect(rules, "db", 5432) is other
    assert not may_connect((*rules, NONE), "web", 80)


def test_names_are_not_patterns() -> None:
    rules = (ForwardRules(opens=(Endpoint("w*", 80),)),)
    assert not may_connect(rules, "web", 80)
    assert not may_connect((WEB,), "WEB", 80)


@pytest.mark.parametrize(
    ("rules", "host", "port", "uid", "permitted"),
    [
        ((ALL,), "localhost", 8080, 1000, True),
        ((ALL,), "localhost", 80, 1000, False),
        ((ALL,), "localhost", 80, 0, True),
        ((ALL,), "localhost", 0, 1000, True),
        ((WEB,), "anything", 8080, 1000, True),
        ((WEB,), "anything", 0, 1000, False),
        ((ForwardRules(listens=(Endpoint("LocalHost", 1234),)),), "localhost", 1234, 1, True),
        ((ForwardRules(remote=False),), "localhost", 8080, 1000, False),
        ((ForwardRules(local=False),), "localhost", 8080, 1000, True),
    ],
)
def test_listening(rules, host: str, port: int, uid: int, permitted: bool) -> None:
    assert may_listen(rules, host, port, uid) is permitted


NO, YES, ASKED = GatewayPorts


@pytest.mark.parametrize(
    ("asked", "gateway", "where"),
    [
        ("localhost", NO, "localhost"), ("", NO, "localhost"), ("192.0.2.1", NO, "localhost"),
        ("127.0.0.1", NO, "127.0.0.1"), ("::1", NO, "::1"), ("localhost", YES, ""),
        ("192.0.2.1", YES, ""), ("127.0.0.1", YES, ""), ("localhost", ASKED, "localhost"),
        ("", ASKED, ""), ("*", ASKED, ""), ("192.0.2.1", ASKED, "192.0.2.1"),
    ],
)  # fmt: skip
def test_where_a_server_listens(asked: str, gateway: GatewayPorts, where: str) -> None:
    assert server_listens_at(asked, gateway) == where


@pytest.mark.parametrize(
    ("asked", "gateway", "where"),
    [
        (None, NO, "localhost"), (None, YES, ""), ("", NO, ""), ("*", NO, ""),
        ("192.0.2.1", NO, "192.0.2.1"), ("localhost", YES, "localhost"),
    ],
)  # fmt: skip
def test_where_a_client_listens(asked: str | None, gateway: GatewayPorts, where: str) -> None:
    assert client_listens_at(asked, gateway) == where


@pytest.mark.parametrize(
    ("host", "asked"), [(None, "localhost"), ("*", ""), ("", ""), ("192.0.2.1", "192.0.2.1")]
)
def test_what_a_client_asks_for(host: str | None, asked: str) -> None:
    assert asked_of_server(host) == asked


@pytest.mark.parametrize("kind", ["unix_local", "unix_remote", "agent"])
def test_one_no_is_enough(kind: str) -> None:
    may = {"unix_local": may_connect_unix, "unix_remote": may_listen_unix,
           "agent": may_forward_agent}[kind]  # fmt: skip
    assert may((ALL, WEB))
    assert not may((ALL, ForwardRules(**{kind: False})))


def test_nothing_is_permitted_where_each_kind_has_its_no() -> None:
    no_tcp = ForwardRules(local=False, remote=False)
    no_other = ForwardRules(unix_local=False, unix_remote=False, agent=False, x11=False, tunnel=0)
    assert permits_nothing((no_tcp, no_other))
    assert not permits_nothing((no_tcp,))
    assert not permits_nothing((no_other, ALL))
