"""What starts a worker and a monitor: total decoders, bounded first flights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.server.launch import messages as launch_messages
from qsh.server.launch.messages import MAX_EARLY, MAX_MESSAGE, StartMonitor, StartWorker, decode
from qsh.server.listener.connection_ids import ServerKeys

REMOTE, LOCAL = ("192.0.2.1", 4242), ("2001:db8::1", 22)


def test_a_worker():
    raw = launch_messages.start_worker(7, REMOTE, LOCAL, b"o" * 16, None, b"s", [b"one", b"two"])
    found = decode(raw)
    assert isinstance(found, StartWorker)
    assert (found.worker, found.peers.remote, found.peers.local) == (7, REMOTE, LOCAL)
    assert (found.original_destination, found.retry_source) == (b"o" * 16, b"")
    assert found.delay_secret == b"s"
    assert found.early() == (b"one", b"two")


def test_a_monitor():
    found = decode(launch_messages.start_monitor(7, REMOTE, LOCAL, b"o" * 16))
    assert isinstance(found, StartMonitor)
    assert (found.worker, found.peers.remote, found.peers.local) == (7, REMOTE, LOCAL)
    assert found.original_destination == b"o" * 16


def test_a_long_first_flight_is_cut():
    raw = launch_messages.start_worker(7, REMOTE, LOCAL, b"", b"", b"", [bytes(1200)] * 1000)
    assert len(raw) <= MAX_MESSAGE
    assert 50 < len(decode(raw).early()) <= MAX_EARLY // 1200


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(data):
    try:
        found = decode(data)
        if isinstance(found, StartWorker):
            found.early()
    except DecodeError:
        pass


def test_refusals_take_as_long_after_a_restart():
    keys = ServerKeys.generate()
    again = ServerKeys(keys.connection_id[:], keys.reset[:], keys.token[:])
    assert keys.delay_secret() == again.delay_secret()
    assert keys.delay_secret() != ServerKeys.generate().delay_secret()
    assert bytes(keys.token) not in keys.delay_secret()


@pytest.mark.parametrize("raw", [b"", b"\x03", b"\xff"])
def test_what_is_neither(raw):
    with pytest.raises(DecodeError):
        decode(raw)
