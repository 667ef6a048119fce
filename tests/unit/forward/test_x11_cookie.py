"""The exchange of an X11 cookie in the first bytes of a connection."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.forward.x11 import Display, parse_display
from qsh.forward.x11_cookie import Cookie, CookieError, CookieSwap, setup

MADE_UP = Cookie("MIT-MAGIC-COOKIE-1", bytes(range(16)))
REAL = Cookie("MIT-MAGIC-COOKIE-1", b"r" * 16)
HEADS = {"big": b"B\0\0\x0b\0\0", "little": b"l\0\x0b\0\0\0"}


def greeting(order="little", cookie=MADE_UP):
    return setup(HEADS[order], order, cookie)


def test_the_bytes_of_a_real_client():
    """xdpyinfo's, on a little-endian machine."""
    assert greeting().hex() == (
        "6c000b000000120010000000" + b"MIT-MAGIC-COOKIE-1".hex() + "0000" + MADE_UP.data.hex()
    )


@pytest.mark.parametrize("order", HEADS)
def test_it_is_exchanged_and_what_follows_stays(order):
    swap = CookieSwap(MADE_UP, REAL)
    assert swap.receive(greeting(order) + b"more") == greeting(order, REAL) + b"more"


@given(st.lists(st.integers(0, 48), max_size=5), st.sampled_from(list(HEADS)))
def test_however_it_is_cut(cuts, order):
    whole, swap, out, at = greeting(order) + b"rest", CookieSwap(MADE_UP, REAL), b"", 0
    for end in [*sorted(cuts), len(whole)]:
        piece, at = whole[at:end], max(at, end)
        out += swap.receive(piece) if not out else piece
    assert out == greeting(order, REAL) + b"rest"


def test_a_cookie_of_another_length():
    real = Cookie("XDM-AUTHORIZATION-1", b"x" * 7)
    assert CookieSwap(MADE_UP, real).receive(greeting()) == greeting(cookie=real)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.0\r\n",
        greeting(cookie=REAL),
        greeting(cookie=Cookie("OTHER", MADE_UP.data)),
        greeting(cookie=Cookie("", b"")),
        b"l\0\x0b\0\0\0\xff\xff\0\0\0\0",
    ],
)
def test_who_does_not_know_it_is_refused(first):
    with pytest.raises(CookieError):
        CookieSwap(MADE_UP, REAL).receive(first)


@given(st.binary(max_size=200))
def test_any_bytes_give_bytes_or_the_error(data):
    with contextlib.suppress(CookieError):
        assert isinstance(CookieSwap(MADE_UP, REAL).receive(data), bytes)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        (":0", Display("", 0)),
        ("unix:10.1", Display("", 10, 1)),
        ("localhost:10.0", Display("localhost", 10)),
        ("[::1]:3", Display("::1", 3)),
        ("/tmp/launch/org.x:0", Display("", 0, 0, "/tmp/launch/org.x:0")),
    ],
)
def test_displays(text, display):
    assert parse_display(text) == display


@given(st.text(max_size=20))
def test_any_text_is_a_display_or_an_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_display(text), Display)


@pytest.mark.parametrize("text", ["", "0", ":", ":x", ":0.", ":99999", "host"])
def test_what_is_no_display(text):
    with pytest.raises(ValueError, match="DISPLAY"):
        parse_display(text)
