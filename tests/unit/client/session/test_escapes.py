"""Escapes are found at the start of a line only, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.client.session.escapes import MEANINGS, Action, EscapeScanner


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (b"~.", [Action.DISCONNECT]),
        (b"ls\r~.", [b"ls\r", Action.DISCONNECT]),
        (b"ls\n~?", [b"ls\n", Action.HELP]),
        (b"ls~.", [b"ls~."]),
        (b"~~", [b"~"]),
        (b"~~.", [b"~."]),
        (b"~x", [b"~x"]),
        (b"~?~.", [Action.HELP, Action.DISCONNECT]),
        (b"~\x1a", [Action.SUSPEND]),
        (b"~#\r~B", [Action.LIST, b"\r", Action.BREAK]),
        (b"~&~R", [Action.BACKGROUND, Action.REKEY]),
        (b"~\r~.", [b"~\r", Action.DISCONNECT]),
        (b"", []),
    ],
)
def test_what_is_an_escape(typed, parts):
    assert EscapeScanner().scan(typed) == parts


def test_an_escape_may_be_cut_in_two():
    scanner = EscapeScanner()
    assert scanner.scan(b"a\r~") == [b"a\r"]
    assert scanner.scan(b".") == [Action.DISCONNECT]


@given(st.binary())
def test_without_an_escape_character_everything_passes(data):
    assert b"".join(EscapeScanner(None).scan(data)) == data


@given(st.lists(st.sampled_from([b"~", b".", b"\r", b"\n", b"a", b"?", b"\x1a", b"\x00"])),
       st.integers(1, 5))
def test_cutting_does_not_change_the_meaning(bits, size):
    def joined(parts):
        merged = []
        for part in parts:
            if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
        return merged

    data = b"".join(bits)
    cut, pieces = EscapeScanner(), []
    for at in range(0, len(data), size):
        pieces += cut.scan(data[at:at + size])
    assert joined(pieces) == joined(EscapeScanner().scan(data))


@given(st.binary())
def test_no_escape_in_lines_that_do_not_begin_with_it(data):
    safe = b"x" + data.replace(b"\r", b"").replace(b"\n", b"")
    assert EscapeScanner().scan(safe) == [safe]


def test_help_names_every_action():
    text = EscapeScanner(b"%").help()
    assert all(f"%{action.shown}" in text for action in Action)
    assert set(MEANINGS) == set(Action)
    assert "%%" in text
