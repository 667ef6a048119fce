"""What a pen keeps: attributes as they were set, and no more than attributes can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.terminal.pen import _GROUPS, LONGEST_ATTRIBUTE, PLAIN, Pen

WORDS = st.integers(0, 110).map(str) | st.sampled_from([
    "", "38", "48", "58", "38;5", "48;2", "4:3", "4:" + "0" * 99, "38:2::1:2:3", "38;9" + ";1" * 99,
    "0" * 5000, "9" * 5000, "1:" * 5000, ":", "?1", "58:" + "1" * 40,
])  # fmt: skip
LONGEST = (len(_GROUPS) + 1) * (LONGEST_ATTRIBUTE + 1) + len("\x1b[0;m")


def pen(*selected):
    made = Pen()
    for parameters in selected:
        made.select(parameters)
    return made


@given(st.lists(st.lists(WORDS, max_size=40).map(";".join), max_size=20))
def test_what_is_kept_is_bounded(selected):
    made = pen(*selected)
    assert len(made.text) <= LONGEST
    assert len(made.paper) <= LONGEST_ATTRIBUTE + len("\x1b[0;m")


@pytest.mark.parametrize(("selected", "text"), [
    ("1;31", "1;31"), ("38;5;1;1", "38;5;1;1"), ("38;2;255;254;253;4", "38;2;255;254;253;4"),
    ("38:2::255:254:253;48;5;255", "38:2::255:254:253;48;5;255"), ("1;2;22;3", "3"), ("38", "38"),
    ("1;;3", "3"), ("38;5", "38;5"), ("7;38;9" + ";1" * 40, "7"), ("31;38:" + "1" * 40, "31"),
])  # fmt: skip
def test_attributes(selected, text):
    assert pen(selected).text == f"\x1b[0;{text}m"


@pytest.mark.parametrize("plain", ["", "0", "0" * 5000, ";" * 60_000, "0:" + "1" * 50])
def test_an_end_of_all(plain):
    assert pen("1;31", plain).text == PLAIN


def test_each_parameter_is_looked_at_once(monkeypatch):
    taken = []
    monkeypatch.setattr(Pen, "_set", lambda _, code, text: taken.append(text))
    selected = ";".join(["1", "38;5;7", "48;2;1;2;3"] * 1000)
    pen(selected)
    assert ";".join(taken) == selected
