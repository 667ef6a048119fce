"""What -L, -R, -D and -W may say: OpenSSH's grammar, and `udp/`."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.forward_specs import (
    ForwardSpec,
    Place,
    parse_dynamic,
    parse_local,
    parse_permit,
    parse_remote,
    parse_stdio,
)

WEB = Place("web", 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:web:80", ForwardSpec(Place(None, 8080), WEB)),
        ("127.0.0.1:8080:web:80", ForwardSpec(Place("127.0.0.1", 8080), WEB)),
        ("*:8080:web:80", ForwardSpec(Place("*", 8080), WEB)),
        (":8080:web:80", ForwardSpec(Place("", 8080), WEB)),
        ("[::1]:8080:[2001:db8::1]:80", ForwardSpec(Place("::1", 8080), Place("2001:db8::1", 80))),
        ("[::]:8080:web:80", ForwardSpec(Place("::", 8080), WEB)),
        ("8080:web:http", ForwardSpec(Place(None, 8080), WEB)),
        ("  8080:web:80", ForwardSpec(Place(None, 8080), WEB)),
        ("8080:/run/s", ForwardSpec(Place(None, 8080), Place(path="/run/s"))),
        ("host:8080:/run/s", ForwardSpec(Place("host", 8080), Place(path="/run/s"))),
        ("/run/a:/run/b", ForwardSpec(Place(path="/run/a"), Place(path="/run/b"))),
        ("/run/a:web:80", ForwardSpec(Place(path="/run/a"), WEB)),
        ("./a:web:80", ForwardSpec(Place(path="./a"), WEB)),
        (r"/run/a\:b:/c", ForwardSpec(Place(path="/run/a:b"), Place(path="/c"))),
        ("udp/53:ns:53", ForwardSpec(Place(None, 53), Place("ns", 53), True)),
        ("udp/[::1]:53:ns:53", ForwardSpec(Place("::1", 53), Place("ns", 53), True)),
        ("udp,drop/53:ns:53", ForwardSpec(Place(None, 53), Place("ns", 53), True, True)),
        ("65535:web:65535", ForwardSpec(Place(None, 65535), Place("web", 65535))),
    ],
)
def test_local_forwards(text, expected):
    assert parse_local(text) == expected
    assert parse_remote(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "8080", "8080:web", "8080:web:", "8080::80", "8080:web:0", "8080:web:65536",
        "65536:web:80", "x:web:80", "0:web:80", "a:b:c:d:e", "1:2:3:4:5", "[::1:8080:web:80",
        "[::1]8080:web:80", "8080:web:80:", "/a", "/a:8080", "8080:web:80\\", "/a:b:/c",
        "/a:1:web:80", "8080:/x/y:80", "::1:8080:web:80", "8080:web:²", "8080:web:-1",
        "/" + "x" * 108 + ":/b", "8080:" + "h" * 1025 + ":80",
        "udp/53", "udp/ns:53", "udp/53:/run/s", "udp//run/s:ns:53", "udp/0:ns:53",
        "udp,drop/53",
    ],
)  # fmt: skip
def test_what_is_no_local_forward(text):
    with pytest.raises(ValueError):
        parse_local(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1080", ForwardSpec(Place(None, 1080))),
        ("0", ForwardSpec(Place(None, 0))),
        ("host:1080", ForwardSpec(Place("host", 1080))),
        (":1080", ForwardSpec(Place("", 1080))),
        ("[::1]:0", ForwardSpec(Place("::1", 0))),
        ("/run/socks", ForwardSpec(Place(path="/run/socks"))),
        ("0:web:80", ForwardSpec(Place(None, 0), WEB)),
        ("udp/0:ns:53", ForwardSpec(Place(None, 0), Place("ns", 53), True)),
    ],
)
def test_remote_forwards(text, expected):
    assert parse_remote(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "a:b", "web:80:", "udp/1", "udp,drop/1", "udp/host:1080", "1:2:3:4:5"],
)
def test_what_is_no_remote_forward(text):
    with pytest.raises(ValueError):
        parse_remote(text)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("1080", Place(None, 1080)), ("localhost:1080", Place("localhost", 1080)),
        ("*:1080", Place("*", 1080)), ("[::1]:1080", Place("::1", 1080)), ("/s", Place(path="/s")),
    ],
)  # fmt: skip
def test_dynamic_forwards(text, listen):
    assert parse_dynamic(text) == ForwardSpec(listen)


@pytest.mark.parametrize("text", ["", "0", "x", "a:b:1", "1080:web:80", "/a:1080", "/a:/b"])
def test_what_is_no_dynamic_forward(text):
    with pytest.raises(ValueError):
        parse_dynamic(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [("web:80", WEB), ("[::1]:22", Place("::1", 22)), ("web:http", WEB), ("/s", Place(path="/s"))],
)
def test_stdio_targets(text, place):
    assert parse_stdio(text) == place


@pytest.mark.parametrize("text", ["", "80", "web", ":80", "web:", "web:0", "a:b:1", "/a:80"])
def test_what_is_no_stdio_target(text):
    with pytest.raises(ValueError):
        parse_stdio(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:80", ("web", 80)), ("*:80", ("*", 80)), ("web:*", ("web", 0)), ("*:*", ("*", 0)),
        ("[::1]:22", ("::1", 22)), ("web:http", ("web", 80)), ("192.0.2.1:9", ("192.0.2.1", 9)),
    ],
)  # fmt: skip
def test_permits(text, expected):
    assert parse_permit(text) == expected


def test_a_bare_port_is_any_host_where_it_is_allowed():
    assert parse_permit("8080", bare_port=True) == ("*", 8080)


@pytest.mark.parametrize("text", ["", "80", ":80", "web:", "web:0", "web:65536", "::1:22", "x:²"])
def test_what_is_no_permit(text):
    with pytest.raises(ValueError):
        parse_permit(text)


@given(st.text(alphabet="[]:/\\*.0123456789ab udp", max_size=30) | st.text())
def test_any_text_gives_a_forward_or_an_error(text):
    for parse in (parse_local, parse_remote, parse_dynamic, parse_stdio, parse_permit):
        with suppress(ValueError):
            parse(text)
