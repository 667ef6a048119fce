"""Options of authorized_keys, as sshauthopt_parse of OpenSSH reads them."""

import calendar
import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.key_options import KeyOptions, OptionError, options_end, parse_options, parse_time

RESTRICTED = {
    "pty": False, "agent_forwarding": False, "port_forwarding": False, "x11_forwarding": False,
    "user_rc": False,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", {}),
        (b"restrict", RESTRICTED),
        (b"restrict,pty", RESTRICTED | {"pty": True}),
        (b"pty,restrict", RESTRICTED),
        (b"RESTRICT,No-Pty,USER-RC", RESTRICTED | {"user_rc": True}),
        (b"no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc", RESTRICTED),
        (b"no-pty,pty", {}),
        (b",,no-pty,,pty,", {}),
        (b"cert-authority", {"cert_authority": True}),
        (b"no-touch-required", {"no_touch_required": True}),
        (b"no-touch-required,touch-required", {}),
        (b"verify-required", {"verify_required": True}),
        (b'command="ls -l"', {"command": b"ls -l"}),
        (b'command="say \\"hi\\" \\n \\\\x"', {"command": b'say "hi" \\n \\\\x'}),
        (b'command="\xff\xfe"', {"command": b"\xff\xfe"}),
        (b'command=""', {"command": b""}),
        (b'principals="a,b",cert-authority', {"principals": "a,b", "cert_authority": True}),
        (b'from="*.example.com,!bad"', {"source": "*.example.com,!bad"}),
        (b'environment="A=1",environment="B=x=y"', {"environment": (("A", "1"), ("B", "x=y"))}),
        (b'environment="A=1",environment="A=2"', {"environment": (("A", "1"),)}),
        (b'environment="A="', {"environment": (("A", ""),)}),
        (b'permitopen="host:22"', {"permitopen": (("host", 22),)}),
        (b'permitopen="[::1]:*",permitopen="h:1"', {"permitopen": (("::1", 0), ("h", 1))}),
        (b'permitopen="host/22"', {"permitopen": (("host", 22),)}),
        (b'permitlisten="8080"', {"permitlisten": (("*", 8080),)}),
        (b'permitlisten="localhost:*"', {"permitlisten": (("localhost", 0),)}),
        (b'tunnel="3"', {"tunnel": 3}),
        (b'tunnel="any"', {"tunnel": -1}),
        (b'expiry-time="20300101Z",expiry-time="20290101Z"', {"expires": 1861920000.0}),
    ],
)
def test_options(text, expected):
    assert parse_options(text) == KeyOptions(**expected)


@pytest.mark.parametrize(
    "text",
    [
        b"unknown", b"ptyx", b"no-restrict", b"no-cert-authority", b"pty=\"yes\"", b"pty pty",
        b'command=ls', b'command="ls', b"command",
        b'command="a"x', b'command="a",command="a"', b'from="a",from="b"',
        b'principals="a",principals="a"', b'unknown="x"', b'environment="A"',
        b'environment="=x"', b'environment="A-B=x"', b'environment="\xc3\x84=x"',
        b'permitopen="22"', b'permitopen="host:0"', b'permitopen="host:65536"',
        b'permitopen="host"', b'permitopen=":22"', b'permitopen="a:b:1"', b'permitopen="host:-1"',
        b'permitopen="[::1:1"', b'permitlisten=""', b'permitlisten="host:nosuchservice"',
        b'tunnel="x"', b'tunnel="-1"', b'expiry-time="tomorrow"', b'command="a\0b"',
        b'permitopen=\x00', b'"', b"=",
    ],
)
def test_what_is_not_understood_makes_the_line_void(text):
    with pytest.raises(OptionError):
        parse_options(text)


@pytest.mark.parametrize(
    ("line", "end"),
    [
        (b"pty ssh-rsa", 3),
        (b'command="a b",pty\tssh-rsa', 17),
        (b'command="a\\" b" x', 15),
        (b"pty", 3),
        (b"", 0),
    ],
)
def test_options_end_at_a_blank_outside_quotes(line, end):
    assert options_end(line) == end


def test_a_quote_must_be_closed():
    with pytest.raises(OptionError):
        options_end(b'command="a b ssh-rsa')


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("20260131Z", (2026, 1, 31, 0, 0, 0)),
        ("202601312359z", (2026, 1, 31, 23, 59, 0)),
        ("20240229235958UTC", (2024, 2, 29, 23, 59, 58)),
    ],
)
def test_times_in_utc(text, fields):
    assert parse_time(text) == calendar.timegm((*fields, 0, 0, 0))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_times_are_local_without_a_z(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_time("202607011200") == time.mktime((2026, 7, 1, 12, 0, 0, 0, 0, -1))
        assert (parse_time("202607011200") == parse_time("202607011200Z")) == (zone == "UTC")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "Z", "2026", "20261301", "20260230Z", "202601012400Z", "202601010060Z", "2026010100",
     "20260101 ", "2026-01-01", "²0260101", "19690101Z", "20260101ZZ"],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(OptionError):
        parse_time(text)


@given(st.binary(max_size=80))
def test_any_bytes_give_options_or_an_option_error(data):
    for parser in (parse_options, options_end):
        with contextlib.suppress(OptionError):
            parser(data)


@given(st.sampled_from([b"command", b"environment", b"permitopen", b"permitlisten", b"from",
                        b"tunnel", b"expiry-time", b"principals"]), st.binary(max_size=40))
def test_any_value_gives_options_or_an_option_error(name, value):
    with contextlib.suppress(OptionError):
        parse_options(name + b'="' + value + b'"')


@given(st.binary(max_size=60).filter(lambda b: b"\0" not in b and not b.endswith(b"\\")))
def test_a_quoted_command_is_read_back(command):
    text = b'command="' + command.replace(b'"', b'\\"') + b'"'
    if b'\\"' not in command:
        assert parse_options(text).command == command
