import pytest

from qsh.client.options import parse
from qsh.client.session_options import ATTACH, END, LIST, SHARE, START, WATCH, SessionWish
from qsh.errors import UsageError


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("--session=work host", SessionWish(START, "work")),
        ("--session=work host make", SessionWish(START, "work")),
        ("--attach host", SessionWish(ATTACH)),
        ("host --attach=work", SessionWish(ATTACH, "work")),
        ("--attach=work --share host", SessionWish(ATTACH, "work", SHARE)),
        ("--read-only --attach host", SessionWish(ATTACH, "", WATCH)),
        ("--list host", SessionWish(LIST)),
        ("--kill=work host", SessionWish(END, "work")),
        ("host ls --list", None),
    ],
)
def test_wishes(words, wish):
    assert parse(words.split()).wish == wish


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--session host", "--session=NAME"),
        ("--kill= host", "--kill=NAME"),
        ("--list=x host", "takes no value"),
        ("--list --attach host", "choose one"),
        ("--share host", "goes with --attach"),
        ("--share --list host", "goes with --attach"),
        ("--attach=work host ls", "runs no command"),
        ("--sessions host", "unknown option"),
    ],
)
def test_what_makes_no_sense(words, text):
    with pytest.raises(UsageError, match=text):
        parse(words.split())
