"""Destinations and ports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.specs import Destination, parse_destination, parse_port
from qsh.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", Destination("host")),
        ("u@host", Destination("host", "u")),
        ("u@corp@host", Destination("host", "u@corp")),
        ("u:style@host", Destination("host", "u:style")),
        ("DOMAIN\\u@host", Destination("host", "DOMAIN\\u")),
        ("::1", Destination("::1")),
        ("u@[fe80::1%eth0]", Destination("fe80::1%eth0", "u")),
        ("ssh://host", Destination("host")),
        ("ssh://host/", Destination("host")),
        ("qsh://u@host:2222", Destination("host", "u", 2222)),
        ("SSH://host:1", Destination("host", None, 1)),
        ("ssh://a%40b;fingerprint=x@host", Destination("host", "a@b")),
        ("ssh://[::1]", Destination("::1")),
        ("ssh://u@[::1]:65535", Destination("::1", "u", 65535)),
    ],
)
def test_destinations(text, expected):
    assert parse_destination(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "@", "@h", "u@", "-h", "u@-h", "-u@h", "h h", "h\n", "$(h)", "`h`", "h|x", "u;x@h",
     "u -o@h", "u\\@h", "ssh://", "ssh://@h", "ssh://h:", "ssh://h:x", "ssh://h:65536",
     "ssh://h:0", "ssh://::1:22", "ssh://u%4@h", "ssh://u%+1@h", "ssh://h/path"],
)  # fmt: skip
def test_refused_destinations(text):
    with pytest.raises(UsageError):
        parse_destination(text)


@pytest.mark.parametrize("text", ["0", "65536", "2000blah", "-1", "+1", "", " 22", "٢٢", "0x16"])
def test_refused_ports(text):
    with pytest.raises(ValueError, match="bad port"):
        parse_port(text)


@pytest.mark.parametrize("port", [1, 22, 65535])
def test_ports(port):
    assert parse_port(str(port)) == port


@given(st.one_of(st.text(max_size=20), st.text(max_size=20).map("ssh://".__add__)))
def test_any_text_gives_a_destination_or_usage_error(text):
    try:
        destination = parse_destination(text)
    except UsageError:
        return
    assert destination.host
    assert not destination.host.startswith("-")
