"""Levels as ssh has them, lines that cannot harm a terminal, and no secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh import log
from qsh.log import Level, level_after, level_named, printable


@pytest.fixture
def lines(monkeypatch):
    """What is written at DEBUG3."""
    monkeypatch.setattr(log, "_output", log._Output())
    found = []
    log.configure(level=Level.DEBUG3, sink=lambda level, line: found.append(line))
    return found


def test_levels():
    assert [level_after(count) for count in range(5)] == [3, 5, 6, 7, 7]
    assert level_named("debug") is level_named("DEBUG1") is Level.DEBUG1
    assert level_named("Quiet") is Level.QUIET
    assert level_named("loud") is None


def test_each_level_has_its_form(lines):
    logger = log.logger("net")
    logger.fatal("a")
    logger.error("b %s", 1)
    logger.info("c")
    logger.verbose("d")
    logger.debug1("e %d%%", 5)
    logger.debug2("f")
    logger.debug3("100%")
    assert lines == [
        "qsh: a", "qsh: b 1", "qsh: c", "qsh: d",
        "debug1: net: e 5%", "debug2: net: f", "debug3: net: 100%",
    ]  # fmt: skip


def test_places_in_the_source_are_written_whatever_their_level(lines):
    places = []
    log.configure(level=Level.ERROR, forces=lambda place: not places.append(place))
    log.logger("x").debug3("one")
    log.configure(forces=lambda place: False)
    log.logger("x").debug3("two")
    log.logger("x").error("three")
    assert lines == ["debug3: x: one", "qsh: three"]
    [place] = places
    assert place.startswith("test_log.py:test_places_in_the_source_are_written_whatever")


def test_what_is_not_enabled_is_not_even_formatted(lines):
    class Costly:
        def __str__(self):
            raise AssertionError

    log.configure(level=Level.ERROR, program="qshd")
    log.logger("x").info("%s", Costly())
    log.logger("x").error("no")
    assert lines == ["qshd: no"]
    assert not log.is_enabled(Level.INFO)
    log.configure(level=Level.QUIET)
    log.logger("x").fatal("no")
    assert lines == ["qshd: no"]


def test_bytes_are_counted_never_shown(lines):
    log.logger("auth").debug3("sent %s and %s", b"secret", bytearray(b"hunter2"))
    assert lines == ["debug3: auth: sent [6 bytes] and [7 bytes]"]


def test_peers_cannot_draw_on_the_terminal(lines):
    log.logger("net").info("peer says %s", "\x1b]0;owned\x07\r\nqsh: all is well\x9b2J\udcff")
    assert lines == [
        r"qsh: peer says \x1b]0;owned\x07\x0d\x0aqsh: all is well\x9b2J\udcff",
    ]


@given(st.text())
def test_any_text_becomes_one_harmless_line(text):
    shown = printable(text)
    assert not any((ord(c) < 32 and c != "\t") or 127 <= ord(c) < 160 for c in shown)
    shown.encode()


@pytest.mark.parametrize("char", "\u202e\u2066\u2069\u200f\u061c\u2028\u200b\ufeff\x9b\x1b\r")
def test_no_character_plays_tricks(char):
    assert char not in printable(f"a{char}b")
    assert printable("grün שלום 日本 e\u0301") == "grün שלום 日本 e\u0301"


def test_into_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "_output", log._Output())
    path = tmp_path / "log"
    log.configure(sink=log.file_sink(str(path)))
    log.logger("x").error("grün")
    log.configure(sink=log.file_sink(str(path)))
    log.logger("x").error("again")
    assert path.read_text() == "qsh: grün\nqsh: again\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="No such file"):
        log.file_sink(str(tmp_path / "no" / "log"))


def test_a_full_disk_ends_nothing(monkeypatch):
    monkeypatch.setattr(log, "_output", log._Output())
    log.configure(sink=log.file_sink("/dev/full"))
    log.logger("x").error("lost")


def test_standard_error(capsys, monkeypatch):
    monkeypatch.setattr(log, "_output", log._Output())
    log.logger("x").error("hello")
    assert capsys.readouterr().err.rstrip("\r\n") == "qsh: hello"
    monkeypatch.setattr("sys.stderr", None)
    log.logger("x").error("nobody")


def test_syslog_gets_priority_and_text_without_the_programs_name(monkeypatch):
    import syslog

    said = []
    monkeypatch.setattr(syslog, "openlog", lambda *words: said.append(words))
    monkeypatch.setattr(syslog, "syslog", lambda *words: said.append(words))
    sink = log.syslog_sink("qsh", "LOCAL3")
    sink(log.Level.ERROR, "qsh: broken")
    sink(log.Level.DEBUG1, "debug1: net: there")
    assert said == [
        ("qsh", syslog.LOG_PID, syslog.LOG_LOCAL3), (syslog.LOG_ERR, "broken"),
        ("qsh", syslog.LOG_PID, syslog.LOG_LOCAL3), (syslog.LOG_DEBUG, "debug1: net: there"),
    ]  # fmt: skip
