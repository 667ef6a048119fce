"""Channels: from open to close, windows, and peers that break the rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.errors import LocalProtocolError, OpenFailure, RemoteProtocolError
from qsh.wire import events
from qsh.wire.channel import INITIAL_WINDOW, MAX_PING
from qsh.wire.channel_messages import ExitStatus, Ping, UnknownOpen, UnknownRequest
from qsh.wire.codec import encode
from qsh.wire.connection import Role
from qsh.wire.forward_messages import DirectTcpip
from qsh.wire.framing import data_head, frame
from qsh.wire.start_messages import ExecRequest
from tests.unit.wire.conftest import Pair


def test_a_session_from_open_to_exit_status(ready: Pair) -> None:
    mine, theirs = ready.session()
    mine.send_request(ExecRequest(b"cat"), want_reply=True)
    mine.send_data(b"hello")
    mine.send_eof()
    requested, data, eof = ready.take(Role.SERVER)
    assert (requested.body, requested.want_reply) == (ExecRequest(b"cat"), True)
    assert data.data == b"hello"
    assert isinstance(eof, events.EofReceived)
    theirs.answer(True)
    theirs.send_data(b"hello")
    theirs.send_data(b"oops", 1)
    theirs.send_eof()
    theirs.send_request(ExitStatus(3))
    theirs.close()
    answered, out, err, eof, status, closed = ready.take(Role.CLIENT)
    assert answered.ok
    assert (out.data_type, out.data, err.data_type, err.data) == (0, b"hello", 1, b"oops")
    assert status.body == ExitStatus(3)
    assert closed == events.ChannelClosed(mine)
    assert ready.take(Role.SERVER) == [events.ChannelClosed(theirs)]
    assert ready.client.channels == ready.server.channels == {}


def test_windows_count_per_data_type_and_are_given_back(ready: Pair) -> None:
    mine, theirs = ready.session()
    block = b"x" * (1 << 20)
    while theirs.send_window():
        theirs.send_data(block)
    assert theirs.send_data(b"more") == 0
    assert theirs.send_data(b"an error", 1) == 8
    received = sum(len(e.data) for e in ready.take(Role.CLIENT) if e.data_type == 0)
    assert received == INITIAL_WINDOW
    mine.consumed(received)
    assert events.WindowGrew(theirs, 0) in ready.take(Role.SERVER)
    assert theirs.send_window() == INITIAL_WINDOW
    mine.grow_window(2 * INITIAL_WINDOW)
    ready.run()
    assert theirs.send_window() == 2 * INITIAL_WINDOW


def test_more_data_than_the_window_ends_the_connection(ready: Pair) -> None:
    _, theirs = ready.session()
    theirs._send_left[0] = 1 << 30
    with pytest.raises(RemoteProtocolError, match="window"):
        for _ in range(4):
            theirs.send_data(b"x" * (1 << 20))
            ready.run()


def test_pings_are_as_long_as_data_and_cost_no_window(ready: Pair) -> None:
    mine, theirs = ready.session()
    before = mine.send_window()
    mine.ping(b"x")
    [pinged] = ready.take(Role.SERVER)
    assert pinged == events.PingReceived(theirs, b"x")
    assert len(frame(encode(Ping(b"x")))) == len(data_head(1, 0)) + 1
    assert mine.send_window() == before
    theirs.pong(pinged.data)
    assert ready.take(Role.CLIENT) == []
    mine.ping(bytes(MAX_PING + 1))
    theirs.close()
    theirs.pong(b"x")
    assert ready.take(Role.SERVER) == [events.ChannelClosed(theirs)]


def test_a_refused_channel(ready: Pair) -> None:
    mine = ready.client.open_channel(4, UnknownOpen("no-such@example.com", b"?"))
    [offered] = ready.take(Role.SERVER)
    assert offered.channel.body == UnknownOpen("no-such@example.com", b"?")
    offered.channel.refuse(OpenFailure.UNKNOWN_CHANNEL_TYPE, "no")
    assert ready.take(Role.CLIENT) == [
        events.ChannelRefused(mine, OpenFailure.UNKNOWN_CHANNEL_TYPE, "no"),
        events.ChannelClosed(mine),
    ]
    assert ready.client.channels == ready.server.channels == {}


def test_a_server_may_open_channels(ready: Pair) -> None:
    body = DirectTcpip("::1", 80, "192.0.2.1", 4)
    ready.server.open_channel(1, body)
    [offered] = ready.take(Role.CLIENT)
    assert offered.channel.body == body


def test_an_unknown_request_is_reported_as_such(ready: Pair) -> None:
    mine, _ = ready.session()
    mine.send_request(UnknownRequest("x@example.com", b"abc"), want_reply=True)
    [requested] = ready.take(Role.SERVER)
    assert requested.body == UnknownRequest("x@example.com", b"abc")


def test_an_abort_reaches_the_peer_and_ends_both_halves(ready: Pair) -> None:
    mine, theirs = ready.session()
    mine.abort(7)
    assert ready.take(Role.CLIENT) == [events.ChannelClosed(mine, 7)]
    assert ready.take(Role.SERVER) == [events.ChannelClosed(theirs, 7)]
    mine.abort(7)
    assert ready.client.data_to_send() == []


def test_after_eof_no_data_but_requests(ready: Pair) -> None:
    _, theirs = ready.session()
    theirs.send_eof()
    theirs.send_request(ExitStatus(0))
    with pytest.raises(LocalProtocolError):
        theirs.send_data(b"late")
    ready.run()
    assert theirs.send_window() == 0


def test_data_after_eof_by_the_peer_ends_the_connection(ready: Pair) -> None:
    mine, theirs = ready.session()
    theirs.send_eof()
    ready.run()
    with pytest.raises(RemoteProtocolError):
        mine.receive(b"\0\0\0\6^\0\0\0\1x", False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(b"\x63"), id="answer without a request"),
        pytest.param(frame(b"\x5b\0\x20\0\0"), id="confirmation of nothing"),
        pytest.param(frame(b"\x5c\0\0\0\1\0\0\0\0\0\0\0\0"), id="refusal of nothing"),
        pytest.param(frame(b"\x5a\0\0\0\1x\0\x20\0\0"), id="second open"),
        pytest.param(frame(b"\x5d\0\0\0\7\0\0\0\1"), id="window of an unknown type"),
        pytest.param(frame(b"\x5d\0\0\0\0\xff\xff\xff\xff"), id="window beyond 2^32"),
        pytest.param(b"\0\0\0\x0a\x5f\0\0\0\7\0\0\0\1x", id="data of an unknown type"),
        pytest.param(frame(b"\x32"), id="login message on a channel"),
        pytest.param(frame(b"\xff"), id="unknown message"),
        pytest.param(b"\0\0\0\0", id="empty message"),
        pytest.param(b"\xff\xff\xff\xff\x5a", id="endless message"),
    ],
)
def test_a_broken_peer_is_told_apart_from_a_bug_here(ready: Pair, data: bytes) -> None:
    ready.session()
    with pytest.raises(RemoteProtocolError):
        ready.server.receive_stream_data(4, data, False)


def test_a_channel_must_not_end_within_a_message(ready: Pair) -> None:
    ready.session()
    with pytest.raises(RemoteProtocolError):
        ready.server.receive_stream_data(4, b"\0\0", True)


@settings(max_examples=60)
@given(st.binary(max_size=2000), st.lists(st.integers(1, 400)), st.integers(0, 1))
def test_data_is_byte_exact_however_the_stream_is_cut(
    data: bytes, cuts: list[int], data_type: int
) -> None:
    pair = Pair()
    pair.login()
    mine, _ = pair.session()
    mine.send_data(data, data_type)
    mine.send_data(b"tail")
    stream = b"".join(o.data for o in pair.client.data_to_send())
    for cut in [*cuts, len(stream)]:
        pair.server.receive_stream_data(4, stream[:cut], False)
        stream = stream[cut:]
    got = [e for e in pair.take(Role.SERVER) if isinstance(e, events.DataReceived)]
    assert b"".join(e.data for e in got) == data + b"tail"
