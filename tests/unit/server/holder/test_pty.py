import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

from qsh.server.holder.pty import Size, open_terminal, resize
from qsh.terminal.modes import encode_modes


@pytest.fixture
def terminal():
    terminal = open_terminal(Size(100, 30, 8, 16), encode_modes({"ECHO": 0, "VINTR": 5}))
    yield terminal
    terminal.close()


def size_of(descriptor):
    return struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))


def test_size(terminal):
    assert size_of(terminal.slave) == (30, 100, 8, 16)
    resize(terminal.master, Size(1 << 31, 5))
    assert size_of(terminal.slave) == (5, 0xFFFF, 0, 0)


def test_modes(terminal):
    attributes = termios.tcgetattr(terminal.slave)
    assert not attributes[3] & termios.ECHO
    assert attributes[3] & termios.ICANON
    assert attributes[6][termios.VINTR] == b"\x05"


def test_name_and_owner(terminal):
    assert os.ttyname(terminal.slave) == terminal.name
    assert Path(terminal.name).stat().st_uid == os.geteuid()


@pytest.mark.parametrize("modes", [b"\xff" * 7, b"\x01", b"\x80\xff\xff\xff\xff"])
def test_odd_modes_are_no_reason_to_refuse(modes):
    open_terminal(Size(80, 24), modes).close()


def test_close_leaves_nothing(terminal):
    terminal.close()
    terminal.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(terminal.master)
