"""Splitting a line into keyword and words."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.lines import parse_line, parse_lines, parse_option, split_words
from qsh.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ["a", "b", "c"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        ('a" "b', ["a b"]),
        (r"a\ b", ["a b"]),
        (r"\"a \\b \n", ['"a', "\\b", "\\n"]),
        (r'"a\ b"', [r"a\ b"]),
        ("a # rest", ["a"]),
        ("a#b", ["a#b"]),
        ('"#a" b', ["#a", "b"]),
        ("a ''", ["a", ""]),
        ("# all", []),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    "text", ["Port 22", "Port=22", "Port = 22", "  port\t=22 ", '"Port" 22', "PORT 22 # ssh"]
)
def test_keyword_and_value(text):
    line = parse_line(text, "f", 1)
    assert (line.keyword, line.arguments) == ("port", ("22",))


def test_one_equals_sign_only():
    assert parse_line("SetEnv==x", "f").arguments == ("=x",)
    assert parse_line("SetEnv A=b=c", "f").arguments == ("A=b=c",)


@pytest.mark.parametrize("text", ["", "   ", "# Port 22", "\t#", "\f"])
def test_lines_that_say_nothing(text):
    assert parse_line(text, "f") is None


@pytest.mark.parametrize("text", ["Port", "Port=", "Port = ", 'User "a', "User 'a"])
def test_errors_name_file_and_line(text):
    with pytest.raises(ConfigError, match=r"^/etc/x line 2: "):
        list(parse_lines(f"# first\n{text}\n", "/etc/x"))


def test_lines_are_counted():
    lines = list(parse_lines("\nA 1\r\n\n# c\nB 2", "f"))
    assert [(line.name, line.number, line.arguments) for line in lines] == [
        ("A", 2, ("1",)), ("B", 5, ("2",)),
    ]  # fmt: skip


def test_an_option_is_its_own_place():
    assert parse_option("Port=22").place == "-o Port=22"


def test_the_rest_stays_as_written():
    assert parse_line("RemoteCommand  echo 'a  b' # c", "f").rest == "echo 'a  b' # c"


@given(st.text(max_size=40))
def test_any_line_gives_words_or_config_error(text):
    with suppress(ConfigError):
        parse_line(text, "f", 1)
