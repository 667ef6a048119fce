"""The connection: global requests, datagrams, the control stream, any bytes at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.errors import LocalProtocolError, RemoteProtocolError
from qsh.wire import events
from qsh.wire.channel import INITIAL_WINDOW, StreamAbort, StreamWrite
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.connection import LEAST_WINDOW, WINDOWS, Connection, Role
from qsh.wire.datagram import encode_datagrams
from qsh.wire.framing import frame
from qsh.wire.global_messages import HostKeysProve, UnknownGlobal
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth_messages import NoneRequest
from tests.unit.wire.conftest import Pair


def test_before_the_login_only_a_proof_of_host_keys_is_asked_for(pair: Pair) -> None:
    proof = events.GlobalRequested(HostKeysProve((b"key",)), True)
    pair.client.request(HostKeysProve((b"key",)), want_reply=True)
    assert pair.take(Role.SERVER) == [proof]
    pair.client.client_login.request("ada", NoneRequest())
    pair.take(Role.SERVER)
    pair.client.request(UnknownGlobal("early", b""), want_reply=True)
    pair.client.request(HostKeysProve((b"key",)), want_reply=True)
    assert pair.take(Role.SERVER) == []
    pair.server.server_login.accept()
    waited = events.GlobalRequested(UnknownGlobal("early", b""), True)
    taken = [e for e in pair.take(Role.SERVER) if isinstance(e, events.GlobalRequested)]
    assert taken == [waited, proof]


@pytest.mark.parametrize(("count", "size"), [(3, 30_000), (300, 0)])
def test_what_is_asked_before_the_login_is_bounded(pair: Pair, count: int, size: int) -> None:
    for _ in range(count):
        pair.client.request(UnknownGlobal("early", bytes(size)))
    with pytest.raises(RemoteProtocolError):
        pair.run()


def test_global_requests_are_answered_in_order(ready: Pair) -> None:
    ready.client.request(UnknownGlobal("a@example.com", b"1"), want_reply=True)
    ready.client.request(UnknownGlobal("b@example.com", b"2"), want_reply=True)
    assert [e.body.name for e in ready.take(Role.SERVER)] == ["a@example.com", "b@example.com"]
    ready.server.answer(b"yes")
    ready.server.answer(None)
    assert ready.take(Role.CLIENT) == [
        events.GlobalAnswered(b"yes"), events.GlobalAnswered(None),
    ]  # fmt: skip
    with pytest.raises(LocalProtocolError):
        ready.server.answer(b"")


def test_a_datagram_finds_its_channel_or_is_dropped(ready: Pair) -> None:
    mine, theirs = ready.session()
    ready.server.receive_datagrams(encode_datagrams(4, [b"hello"]))
    ready.server.receive_datagrams(encode_datagrams(8, [b"lost"]))
    ready.client.receive_datagrams(encode_datagrams(4, [b""]))
    assert ready.take(Role.SERVER) == [events.DatagramsArrived(theirs, [b"hello"])]
    assert ready.take(Role.CLIENT) == [events.DatagramsArrived(mine, [b""])]
    with pytest.raises(RemoteProtocolError):
        ready.server.receive_datagrams([b""])


def test_a_datagram_before_the_login_is_dropped(pair: Pair) -> None:
    pair.server.receive_datagrams(encode_datagrams(4, [b"early"]))
    assert pair.take(Role.SERVER) == []


def test_the_control_stream_must_not_end(ready: Pair) -> None:
    with pytest.raises(RemoteProtocolError):
        ready.server.receive_stream_data(0, b"", True)
    with pytest.raises(RemoteProtocolError):
        ready.server.receive_abort(0, 1)


def test_reserved_messages_and_unidirectional_streams_are_ignored(ready: Pair) -> None:
    ready.server.receive_stream_data(0, frame(b"\xc0anything") + frame(b"\xff"), False)
    ready.server.receive_stream_data(2, b"anything", True)
    assert ready.take(Role.SERVER) == []


def test_wake_is_called_once_per_batch() -> None:
    woken = []
    client = Connection(Role.CLIENT, lambda: woken.append(1))
    client.open_channel(4, SessionOpen()).send_request(ExecRequest(b"true"))
    assert woken == [1]
    client.data_to_send()
    client.request(UnknownGlobal("x@example.com", b""))
    assert woken == [1, 1]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 4, 8]), st.binary(max_size=60), st.booleans())))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("is_ready", [False, True])
def test_any_bytes_give_events_or_a_remote_error(
    role: Role, is_ready: bool, pieces: list[tuple[int, bytes, bool]]
) -> None:
    pair = Pair()
    if is_ready:
        pair.login()
        pair.session()
    target = pair.client if role is Role.CLIENT else pair.server
    try:
        for stream_id, data, fin in pieces:
            target.receive_stream_data(stream_id, data, fin)
            target.receive_stream_data(stream_id, frame(data or b"\2"), False)
    except RemoteProtocolError:
        pass
    assert all(isinstance(o, StreamWrite | StreamAbort) for o in target.data_to_send())


def test_a_thousand_channels_do_not_get_a_thousand_full_windows(ready: Pair) -> None:
    windows = [ready.client.open_channel(4 * n, SessionOpen()).window for n in range(1, 1001)]
    assert windows[:8] == [INITIAL_WINDOW] * 8
    assert windows == sorted(windows, reverse=True)
    assert windows[-1] == LEAST_WINDOW
    assert sum(windows) < WINDOWS + 1000 * LEAST_WINDOW
