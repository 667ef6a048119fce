"""Host and Match of ssh_config(5)."""

import pytest

from qsh.config.client_conditions import ClientConditions
from qsh.config.facts import LocalFacts
from qsh.config.interfaces import local_addresses
from qsh.config.lines import parse_line
from qsh.errors import ConfigError

FACTS = LocalFacts("me", 1000, "/home/me", "box", {"SHELL": "/bin/sh"})


def applies(text, command="", **values):
    line = parse_line(text, "f", 1)
    return ClientConditions("Host", FACTS, command).applies(line, values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Host Host", True), ("Host host", False), ("Host a H*", True), ("Host * !Host", False),
        ("Host !other", False), ("Match all", True), ("Match host host,x", True),
        ("Match host=host", True), ("Match !host host", False), ("Match host *,!host", False),
        ("Match originalhost HOST", True), ("Match user me", True), ("Match user you", False),
        ("Match localuser me user me", True), ("Match localuser me user you", False),
        ("Match tagged x", False), ("Match !tagged x", True), ("Match final", False),
        ("Match canonical", False), ("Match canonical all", False), ("Match !final", True),
        ("Match version qsh_*", True), ("Match sessiontype shell", True),
        ("Match command ls", False), ('Match exec "exit 0"', True), ("Match exec 'exit 1'", False),
        ("Match exec 'test %h-%r-%u = host-me-me'", True), ("Match HOST host", True),
        ("Match user you exec 'echo ran >&2'", False),
    ],
)  # fmt: skip
def test_conditions(text, expected):
    assert applies(text) is expected


def test_conditions_see_what_was_set_before():
    assert applies("Match host real", hostname="real")
    assert applies("Match host host.x originalhost host", hostname="%h.x")
    assert applies("Match user you", user="you")
    assert applies("Match tagged t", tag="t")
    assert applies("Match sessiontype none", session_type="none")
    assert applies("Match sessiontype exec command 'ls *'", command="ls -l")
    assert applies("Match exec 'test %p = 7'", port=7)


def test_a_command_does_not_run_after_a_criterion_that_failed(tmp_path):
    applies(f"Match user you exec 'touch {tmp_path}/ran'")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    ["Match nonsense x", "Match host", "Match host x all", "Match all user x", "Match exec %z",
     "Match user you nonsense", "Match host=x all", "Match localnetwork 10.0.0.1/8"],
)  # fmt: skip
def test_errors(text):
    with pytest.raises(ConfigError, match=r"^f line 1: "):
        applies(text)


def test_final_is_remembered_and_then_holds():
    conditions = ClientConditions("h", FACTS, "")
    line = parse_line("Match final", "f", 1)
    assert not conditions.applies(line, {})
    assert conditions.saw_final
    conditions.final_pass = True
    assert conditions.applies(line, {})


def test_localnetwork_is_that_of_the_interfaces():
    mine = [address for address in local_addresses() if ":" not in address]
    assert applies("Match localnetwork 198.51.100.0/24") is False
    if mine:
        assert applies(f"Match localnetwork 198.51.100.0/24,{mine[0]}/32")
