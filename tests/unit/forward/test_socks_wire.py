"""SOCKS dialogues byte by byte, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.forward.socks_wire import (
    Associate,
    Connect,
    Reply,
    SocksError,
    SocksServer,
    UdpDatagram,
    decode_udp,
    encode_udp,
)

GREETING = b"\5\1\0"
REQUESTS = [
    pytest.param(b"\4\1\0\x50\xc0\0\2\1ada\0", Connect("192.0.2.1", 80), id="4"),
    pytest.param(b"\4\1\1\xbb\0\0\0\1ada\0example.com\0", Connect("example.com", 443), id="4a"),
    pytest.param(GREETING + b"\5\1\0\1\xc0\0\2\1\0\x50", Connect("192.0.2.1", 80), id="5 ipv4"),
    pytest.param(GREETING + b"\5\1\0\3\1x\0\x50", Connect("x", 80), id="5 name"),
    pytest.param(GREETING + b"\5\1\0\4" + bytes(15) + b"\1\0\x50", Connect("::1", 80), id="5 ipv6"),
    pytest.param(b"\5\2\2\0\5\3\0\1\0\0\0\0\0\0", Associate("0.0.0.0", 0), id="5 udp associate"),
]


@pytest.mark.parametrize(("stream", "request_"), REQUESTS)
@given(cuts=st.lists(st.integers(0, 6)))
def test_a_request_however_it_is_cut(stream: bytes, request_: object, cuts: list[int]) -> None:
    server = SocksServer()
    told = b""
    got = None
    stream += b"GET /"
    for cut in [*cuts, 1000]:
        if got is None:
            got = server.receive(stream[:cut])
            told += server.data_to_send()
        else:
            server.rest += stream[:cut]
        stream = stream[cut:]
    assert got == request_
    assert server.rest == b"GET /"
    assert told == (b"\5\0" if server.version == 5 else b"")


def test_replies() -> None:
    server = SocksServer()
    server.receive(GREETING)
    assert server.reply(Reply.REFUSED) == b"\5\5\0\1" + bytes(6)
    assert server.reply(Reply.SUCCEEDED, "::1", 53) == b"\5\0\0\4" + bytes(15) + b"\1\0\x35"
    server = SocksServer()
    server.receive(b"\4")
    assert server.reply(Reply.SUCCEEDED)[:2] == b"\0\x5a"
    assert server.reply(Reply.REFUSED)[:2] == b"\0\x5b"


@pytest.mark.parametrize(
    ("stream", "reply"),
    [
        (b"GET / HTTP/1.1\r\n", b""),
        (b"\5\1\2", b"\5\xff"),
        (GREETING + b"\5\2\0\1\0\0\0\0\0\0", b"\5\7"),
        (GREETING + b"\5\1\0\7", b"\5\x08"),
        (GREETING + b"\4\1\0\1", b"\5\1"),
        (GREETING + b"\5\1\0\3\0\0\0", b""),
        (b"\4\2\0\x50\xc0\0\2\1\0", b"\0\x5b"),
        (b"\4\1\0\x50\0\0\0\1\0\xff\0", b"\0\x5b"),
        (b"\4\1\0\x50\xc0\0\2\1" + b"x" * 600, b"\0\x5b"),
    ],
)
def test_what_is_refused(stream: bytes, reply: bytes) -> None:
    with pytest.raises(SocksError) as caught:
        SocksServer().receive(stream)
    assert caught.value.reply.startswith(reply)


@given(
    st.lists(st.binary(max_size=30)), st.sampled_from([b"", b"\4\1", GREETING, GREETING + b"\5"])
)
def test_any_bytes_give_a_request_or_an_error(pieces: list[bytes], head: bytes) -> None:
    server = SocksServer()
    try:
        for piece in [head, *pieces]:
            if server.receive(piece) is not None:
                return
    except SocksError:
        pass


@given(st.ip_addresses().map(str) | st.just("example.com"), st.integers(0, 65535), st.binary())
def test_udp_datagrams_come_back_as_they_were(host: str, port: int, payload: bytes) -> None:
    datagram = UdpDatagram(host, port, payload)
    assert decode_udp(encode_udp(datagram)) == datagram


@given(st.binary())
def test_any_datagram_is_decoded_or_dropped(data: bytes) -> None:
    decoded = decode_udp(data)
    assert decoded is None or decode_udp(encode_udp(decoded)) == decoded


def test_a_fragment_is_dropped() -> None:
    whole = encode_udp(UdpDatagram("192.0.2.1", 53, b"x"))
    assert decode_udp(b"\0\0\1" + whole[3:]) is None
