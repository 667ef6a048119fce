"""What is said on stderr beside the log: harmless, with the line ends the terminal wants."""

import os
import pty

import pytest

from qsh import log
from qsh.client.notices import complain, show, with_hint
from qsh.errors import NetworkError


@pytest.fixture
def logged():
    lines = []
    log.configure(sink=lambda level, line: lines.append(line))
    yield lines
    log._output.sink = None


def test_an_error_with_its_hint(logged):
    complain(with_hint(NetworkError("no route"), "plug in the cable"))
    assert logged == ["qsh: no route", "qsh: hint: plug in the cable"]


def test_an_error_without_words_has_its_name(logged):
    complain(KeyboardInterrupt())
    assert logged == ["qsh: KeyboardInterrupt"]


def test_a_strangers_text_is_harmless():
    reader, writer = os.pipe()
    show("Hello\x1b[2J\nWorld\x07\n", writer)
    assert os.read(reader, 100) == b"Hello\\x1b[2J\nWorld\\x07\n"
    os.close(reader)
    os.close(writer)


def test_a_raw_terminal_gets_carriage_returns():
    controller, terminal = pty.openpty()
    show("a\nb", terminal)
    assert os.read(controller, 100).replace(b"\r\r", b"\r") == b"a\r\nb\r\n"
    os.close(controller)
    os.close(terminal)


def test_a_closed_stderr_is_no_error():
    show("anybody?", -1)


@pytest.fixture
def pipe():
    ours, theirs = os.pipe()
    with open(ours, "rb") as reader:
        yield reader, theirs


@pytest.mark.parametrize("text", ["a\r\nb\n\nc\n", "no end", "\n\n", "", "grün\n"])
def test_a_banner_comes_out_byte_for_byte(pipe, text):
    reader, writer = pipe
    show(text, writer, is_whole=True)
    os.close(writer)
    assert reader.read() == text.encode()


def test_a_banner_cannot_turn_the_text_around(pipe):
    reader, writer = pipe
    show("pay \u202e001 to\x1b[2J me\n", writer, is_whole=True)
    os.close(writer)
    assert reader.read() == b"pay \\u202e001 to\\x1b[2J me\n"
