"""Terminal modes: the RFC's bytes, any bytes, and a real terminal."""

import contextlib
import os
import termios
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.terminal.modes import OPCODES, apply_modes, decode_modes, encode_modes, modes_of


@pytest.fixture
def terminal():
    """A pseudo-terminal's descriptor."""
    controller, terminal = os.openpty()
    yield terminal
    os.close(terminal)
    os.close(controller)


@pytest.mark.parametrize(
    ("name", "opcode"),
    [
        ("VINTR", 1), ("VEOF", 5), ("VDISCARD", 18), ("IGNPAR", 30), ("IMAXBEL", 41),
        ("IUTF8", 42), ("ISIG", 50), ("ECHO", 53), ("PENDIN", 62), ("OPOST", 70), ("ONLCR", 72),
        ("ONLRET", 75), ("CS7", 90), ("CS8", 91), ("PARODD", 93), ("TTY_OP_ISPEED", 128),
        ("TTY_OP_OSPEED", 129),
    ],
)
def test_opcodes_are_those_of_rfc_4254_and_rfc_8160(name, opcode):
    assert OPCODES[name] == opcode
    assert encode_modes({name: 7}) == bytes((opcode, 0, 0, 0, 7, 0))
    assert decode_modes(bytes((opcode, 0, 0, 0, 7, 0))) == {name: 7}


def test_opcodes_are_unique():
    assert len(set(OPCODES.values())) == len(OPCODES) == 56


@pytest.mark.parametrize(
    ("data", "modes"),
    [
        (b"", {}),
        (b"\0", {}),
        (b"\x35\0\0\0\1", {"ECHO": 1}),
        (b"\x35\0\0\0\1\0rest is ignored", {"ECHO": 1}),
        (b"\x77\0\0\0\1\x35\0\0\0\0\0", {"ECHO": 0}),
        (b"\x35\0\0\0\1\xa0\1\2", {"ECHO": 1}),
        (b"\x35\0\0\0\1\x35\0\0\0\0\0", {"ECHO": 0}),
    ],
)
def test_what_is_unknown_is_tolerated(data, modes):
    assert decode_modes(data) == modes


@pytest.mark.parametrize("data", [b"\x35", b"\x35\0\0\0", b"\x35\0\0\0\1\x01\0"])
def test_an_argument_cut_off_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode_modes(data)


def test_names_and_values_that_the_wire_has_not_are_left_out():
    assert encode_modes({"VMIN": 1, "ECHO": -1, "ISIG": 1 << 32}) == b"\0"


@given(st.dictionaries(st.sampled_from(sorted(OPCODES)), st.integers(0, 2**32 - 1)))
def test_modes_are_read_back(modes):
    assert decode_modes(encode_modes(modes)) == modes


@given(st.binary(max_size=100))
def test_any_bytes_give_modes_or_a_decode_error(data):
    try:
        modes = decode_modes(data)
    except DecodeError:
        return
    assert set(modes) <= set(OPCODES)


@given(modes=st.dictionaries(st.sampled_from(sorted(OPCODES)), st.integers(0, 2**32 - 1)))
def test_any_modes_can_be_applied_to_a_terminal(modes):
    controller, terminal = os.openpty()
    try:
        attributes = apply_modes(modes, termios.tcgetattr(terminal), termios)
        with contextlib.suppress(termios.error):  # a pty takes no CS7, and the C library says so
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    finally:
        os.close(terminal)
        os.close(controller)


def test_a_terminal_is_carried_over_whole(terminal):
    sent = {
        "ECHO": 0, "ICANON": 0, "IUTF8": 1, "IXON": 0, "ONLCR": 0, "CS8": 1, "VINTR": 7,
        "VERASE": 8, "VSUSP": 255, "TTY_OP_ISPEED": 115200, "TTY_OP_OSPEED": 115200,
    }
    before = termios.tcgetattr(terminal)
    attributes = apply_modes(sent, before, termios)
    assert before == termios.tcgetattr(terminal)
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    now = modes_of(termios.tcgetattr(terminal), termios)
    assert {name: now[name] for name in sent} == sent
    assert decode_modes(encode_modes(now)) == now


def test_a_raw_terminal_has_modes_too(terminal):
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~termios.ICANON
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    modes = modes_of(termios.tcgetattr(terminal), termios)
    assert modes["ICANON"] == 0
    assert modes["VINTR"] == 3


def test_seven_bits_and_eight_bits_are_one_choice(terminal):
    attributes = termios.tcgetattr(terminal)
    seven = apply_modes({"CS7": 1, "CS8": 0}, attributes, termios)
    assert seven[2] & termios.CSIZE == termios.CS7
    assert modes_of(seven, termios)["CS8"] == 0
    assert apply_modes({"CS7": 1, "CS8": 1}, attributes, termios)[2] & termios.CSIZE == termios.CS8


def test_speeds_that_the_system_has_not_become_9600(terminal):
    attributes = apply_modes({"TTY_OP_OSPEED": 12345}, termios.tcgetattr(terminal), termios)
    assert attributes[5] == termios.B9600


def test_a_system_without_a_mode_is_left_alone():
    few = SimpleNamespace(ECHO=8, B9600=13)
    attributes = [0, 0, 0, 8, 13, 13, []]
    assert modes_of(attributes, few) == {"ECHO": 1, "TTY_OP_ISPEED": 9600, "TTY_OP_OSPEED": 9600}
    assert apply_modes({"ECHO": 0, "VINTR": 3, "IUTF8": 1}, attributes, few)[3] == 0
