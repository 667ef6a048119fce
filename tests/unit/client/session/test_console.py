"""Raw mode, the size and giving the terminal back, on real pseudo-terminals."""

import fcntl
import os
import pty
import struct
import termios

import pytest

from qsh.client.session.console import Console, WindowSize, raw


@pytest.fixture
def terminal():
    controller, descriptor = pty.openpty()
    yield descriptor
    os.close(controller)
    os.close(descriptor)


def test_raw_mode_is_given_back_exactly(terminal):
    before = termios.tcgetattr(terminal)
    console = Console(terminal)
    console.make_raw()
    during = termios.tcgetattr(terminal)
    assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert not during[1] & termios.OPOST
    assert console.is_raw
    console.restore()
    assert termios.tcgetattr(terminal) == before
    console.restore()
    assert not console.is_raw


def test_raw_twice_still_remembers_the_first_modes(terminal):
    before = termios.tcgetattr(terminal)
    console = Console(terminal)
    console.make_raw()
    console.make_raw()
    assert console.attributes() == before
    console.restore()
    assert termios.tcgetattr(terminal) == before


def test_after_a_stop_the_modes_are_set_anew(terminal):
    console = Console(terminal)
    cooked = termios.tcgetattr(terminal)
    console.make_raw()
    termios.tcsetattr(terminal, termios.TCSANOW, cooked)
    console.resume()
    assert not termios.tcgetattr(terminal)[3] & termios.ECHO


def test_size(terminal):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 800, 600))
    assert Console(terminal).size() == WindowSize(100, 30, 800, 600)


def test_what_is_no_terminal_has_no_size_and_no_modes():
    reader, writer = os.pipe()
    try:
        console = Console(reader)
        console.make_raw()
        console.restore()
        console.resume()
        assert (console.is_terminal, console.is_raw) == (False, False)
        assert console.size() == WindowSize()
        assert console.attributes() is None
    finally:
        os.close(reader)
        os.close(writer)


def test_raw_does_not_change_what_it_was_given(terminal):
    before = termios.tcgetattr(terminal)
    raw(before)
    assert before == termios.tcgetattr(terminal)
