"""The notice that nothing is heard, on a virtual clock."""

import pytest

from qsh.client.session.notice import LOOK, PATIENCE, Notice, Title, has_titles

KEEP, BACK = "\x1b[22;2t", "\x1b]2;far\x07\x1b[23;2t"


@pytest.fixture
def notice():
    return Notice(b"~")


def quiet(notice, now, silence, since_heard=None):
    heard = silence if since_heard is None else since_heard
    return notice.look(now, silence, heard, is_away=False)


def away(notice, now):
    return notice.look(now, 0.0, 0.0, is_away=True)


def test_nothing_is_said_for_three_seconds(notice):
    assert quiet(notice, 100, 0) == ""
    assert notice.wait == PATIENCE
    assert quiet(notice, 103, 2.9) == ""
    assert notice.wait == pytest.approx(0.1)
    assert quiet(notice, 103.1, 3.0) == "qsh: nothing heard for 3 s; ~. leaves"


def test_each_second_is_told(notice):
    quiet(notice, 103, 3)
    assert "3 s" in quiet(notice, 103.5, 3.5)
    assert notice.wait == LOOK
    assert quiet(notice, 104, 4.0) == "qsh: nothing heard for 4 s; ~. leaves"
    assert quiet(notice, 104.25, 0) == ""


def test_the_time_since_the_last_contact_is_told(notice):
    """Which is longer than an answer has been owed, where nothing was asked."""
    assert "for 63 s;" in quiet(notice, 200, 3, since_heard=63)


def test_dialling_anew(notice):
    quiet(notice, 100, 0, since_heard=1)
    assert away(notice, 101) == ""
    assert away(notice, 103.5) == ""
    assert "for 5 s, dialling anew; ~. leaves" in away(notice, 104)
    assert "for 6 s, dialling anew" in away(notice, 105)
    assert quiet(notice, 105.5, 0) == ""


def test_a_lost_connection_is_as_silent_as_before(notice):
    """The notice does not go away when dialling begins."""
    quiet(notice, 130, 30)
    assert away(notice, 131) == "qsh: nothing heard for 31 s, dialling anew; ~. leaves"


@pytest.mark.parametrize(
    ("escape", "end"), [(b"~", "; ~. leaves"), (b"%", "; %. leaves"), (None, "for 3 s")]
)
def test_how_to_leave(escape, end):
    assert quiet(Notice(escape), 103, 3).endswith(end)


def test_a_title_is_kept_and_put_back():
    title = Title("far")
    assert title.hide() == ""
    assert title.show("one") == KEEP + "\x1b]2;one\x07"
    assert title.show("two") == "\x1b]2;two\x07"
    assert title.hide() == BACK
    assert title.hide() == ""


def test_a_hosts_name_plays_no_tricks():
    title = Title("a\x07b\x1b[2J")
    title.show("text")
    assert title.hide().count("\x1b") == 2


@pytest.mark.parametrize(
    ("environment", "have"),
    [({"TERM": "xterm-256color"}, True), ({"TERM": "tmux-256color"}, True),
     ({"TERM": "screen"}, False), ({"TERM": "screen", "TMUX": "x"}, True),
     ({"TERM": "linux"}, False), ({"TERM": "dumb"}, False), ({}, False)],
)  # fmt: skip
def test_which_terminals(environment, have):
    assert has_titles(environment) is have
