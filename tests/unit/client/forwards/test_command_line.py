"""The command line of ~C: typing it, and what its lines do."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.client.forwards.command_line import HELP, LineTyping, execute
from qsh.config.forward_specs import ForwardSpec, Place
from qsh.errors import RequestError


def typed(*pieces):
    typing, shown, rest = LineTyping(), "", b""
    for piece in pieces:
        text, rest = typing.take(piece)
        shown += text
    return typing.line, shown, rest


@pytest.mark.parametrize(
    ("keys", "line", "shown"),
    [
        (b"-L 1:h:2\r", "-L 1:h:2", "-L 1:h:2\r\n"),
        (b"-X\x7fL\n", "-L", "-X\b \bL\r\n"),
        (b"abc\x15d\r", "d", "abc" + 3 * "\b \b" + "d\r\n"),
        (b"\x7f\r", "", "\r\n"),
        (b"-L 1\x03", "", "-L 1\r\n"),
        (b"\x1b[A\r", "[A", "[A\r\n"),
        (b"-L", None, "-L"),
    ],
)
def test_a_line_is_typed(keys, line, shown):
    assert typed(keys)[:2] == (line, shown)


def test_what_comes_after_it_is_not_its():
    assert typed(b"-D ", b"1\rls\r") == ("-D 1", "-D 1\r\n", b"ls\r")


@given(st.binary(), st.integers(1, 5))
def test_cutting_does_not_change_it(data, size):
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    typing = LineTyping()
    for place, piece in enumerate(pieces):
        _, rest = typing.take(piece)
        if typing.line is not None:
            assert rest + b"".join(pieces[place + 1 :]) == typed(data)[2]
            break
    assert typing.line == typed(data)[0]


class Forwards:
    """Notes what is asked of it."""

    def __init__(self, error=None):
        self.asked = []
        self.error = error

    async def add_forward(self, spec, *, is_remote):
        return self._note("add", spec, is_remote)

    async def cancel_forward(self, spec, *, is_remote):
        self._note("cancel", spec, is_remote)

    def _note(self, verb, spec, is_remote):
        if self.error:
            raise RequestError(self.error)
        self.asked.append((verb, spec, is_remote))
        return spec.listen.port or 4000


def run(line, forwards):
    async def get():
        return forwards

    return asyncio.run(execute(line, get))


PORT = Place(None, 1)


@pytest.mark.parametrize(
    ("line", "asked", "answer"),
    [
        ("-L 1:h:2", ("add", ForwardSpec(PORT, Place("h", 2)), False), "Forwarding port 1."),
        ("L1:h:2", ("add", ForwardSpec(PORT, Place("h", 2)), False), "Forwarding port 1."),
        ("-R0:h:2", ("add", ForwardSpec(Place(None, 0), Place("h", 2)), True),
         "Forwarding port 4000."),
        ("-D 1", ("add", ForwardSpec(PORT), False), "Forwarding port 1."),
        ("-L udp/1:h:2", ("add", ForwardSpec(PORT, Place("h", 2), True), False),
         "Forwarding port 1."),
        ("-KL 1", ("cancel", ForwardSpec(PORT), False), "Canceled forwarding."),
        ("-KRudp/1", ("cancel", ForwardSpec(PORT, None, True), True), "Canceled forwarding."),
        ("-KD *:1", ("cancel", ForwardSpec(Place("*", 1)), False), "Canceled forwarding."),
    ],
)  # fmt: skip
def test_lines(line, asked, answer):
    forwards = Forwards()
    assert run(line, forwards) == answer
    assert forwards.asked == [asked]


@pytest.mark.parametrize(
    ("line", "answer"),
    [("", ""), ("?", HELP), ("-h", HELP), ("ps", "Invalid command (try: help)."),
     ("-K", "Invalid command (try: help)."), ("-KX 1", "Invalid command (try: help).")],
)  # fmt: skip
def test_lines_that_change_nothing(line, answer):
    assert run(line, Forwards()) == answer


def test_what_fails_is_told():
    assert run("-L nonsense", Forwards()).startswith("bad forward 'nonsense'")
    assert run("-D 1", Forwards("cannot listen")) == "cannot listen."


@given(st.text(max_size=30))
def test_any_line_has_an_answer(line):
    assert isinstance(run(line, Forwards()), str)
