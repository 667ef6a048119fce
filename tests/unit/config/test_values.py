"""Kinds of values."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config import client_keywords, server_keywords, values
from qsh.config.values import AlgorithmList, choice, integer, parse_seconds

DEFAULTS = ("ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("10m", 600), ("1h30m", 5400), ("1H30", 3630), ("1w2d", 777600)],
)
def test_times(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1x", "h", "-1", "1.5", "1h m", "9999999999999", "١"])
def test_refused_times(text):
    with pytest.raises(ValueError, match="not a time"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        (values.FLAG, "YES", True), (values.FLAG, "false", False),
        (values.SECONDS_OR_NONE, "none", None), (values.PATH_OR_NONE, "None", None),
        (values.ESCAPE, "none", None), (values.ESCAPE, "~", "~"), (values.ESCAPE, "^]", "\x1d"),
        (values.ESCAPE, "^a", "\x01"), (values.LOG_LEVEL, "debug", "DEBUG1"),
        (values.LOG_LEVEL, "Debug3", "DEBUG3"), (values.PATHS, "none", ()),
        (values.COMMA_LIST, "a,b", ("a", "b")), (integer(0), "007", 7),
        (choice("a", "B", c="a"), "b", "B"), (choice("a", c="a"), "C", "a"),
    ],
)  # fmt: skip
def test_values(kind, word, value):
    assert kind.read((word,)) == value


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (values.FLAG, ("maybe",)), (values.FLAG, ("yes", "no")), (values.TEXT, ("",)),
        (values.ESCAPE, ("ab",)), (values.ESCAPE, ("^\x7f\x7f",)), (values.ESCAPE, ("€",)),
        (values.ASSIGNMENTS, ("A",)), (values.ASSIGNMENTS, ("=x",)), (values.ALGORITHMS, ("+",)),
        (integer(0), ("x",)), (integer(0), ("-1",)), (integer(1), ("0",)), (integer(0), ("٣",)),
        (integer(0, 9), ("10",)), (choice("a"), ("b",)), (values.MORE_WORDS, ("a", "")),
    ],
)  # fmt: skip
def test_refused_values(kind, words):
    with pytest.raises(ValueError):
        kind.read(words)


def test_the_first_of_two_assignments_wins():
    assert values.ASSIGNMENTS.read(("A=1", "B=", "A=2")) == (("A", "1"), ("B", ""))


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("rsa-sha2-256,ssh-ed25519", ("rsa-sha2-256", "ssh-ed25519")),
        ("-rsa-*", ("ssh-ed25519",)),
        ("^rsa-sha2-256", ("rsa-sha2-256", "ssh-ed25519", "rsa-sha2-512")),
        ("+ssh-rsa", (*DEFAULTS, "ssh-rsa")),
        ("+unknown", DEFAULTS),
    ],
)
def test_algorithm_lists(word, names):
    assert values.ALGORITHMS.read((word,)).resolve(DEFAULTS, ("ssh-rsa",)) == names


def test_no_list_means_the_defaults():
    assert AlgorithmList().resolve(DEFAULTS) == DEFAULTS


ROWS = [*client_keywords.CLIENT_KEYWORDS.rows, *server_keywords.SERVER_KEYWORDS.rows]


@given(st.sampled_from(ROWS), st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_any_words_give_a_value_or_value_error(row, words):
    words = (" ".join(words).strip() or "x",) if row.kind.whole else tuple(words)
    with suppress(ValueError):
        row.kind.read(words)
