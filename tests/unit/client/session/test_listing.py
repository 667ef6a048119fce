import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.client.session.listing import duration, entries_of, table
from qsh.errors import DecodeError
from qsh.wire.codec import Writer, encode_body
from qsh.wire.session_messages import SessionEntry

BUSY = SessionEntry(bytes(16), "work", "make", "/dev/pts/1", 1000, 0, "192.0.2.1 port 4", False)
LEFT = SessionEntry(b"\1" * 16, "", "", "", 1000, 1500, "", True)


def test_there_and_back():
    data = Writer().string(encode_body(BUSY)).string(encode_body(LEFT)).finish()
    assert entries_of(data) == [BUSY, LEFT]


def test_a_table():
    head, busy, left = table([BUSY, LEFT], 1000 + 7300)
    assert head.split() == ["NAME", "AGE", "ATTACHED", "COMMAND"]
    assert busy.split() == ["work", "2h", "192.0.2.1", "port", "4", "make"]
    assert "01" * 16 in left
    assert "ended, left 1h ago" in left
    assert left.endswith("(shell)")


def test_a_servers_words_do_no_harm():
    [_, line] = table([SessionEntry(bytes(16), "", "\x1b[2J\nx", "", 0, 0, "", False)], 0)
    assert "\x1b" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (59, "59s"), (61, "1m"), (7300, "2h"), (200000, "2d")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@given(st.binary(max_size=100))
def test_any_bytes(data):
    with contextlib.suppress(DecodeError):
        entries_of(data)
