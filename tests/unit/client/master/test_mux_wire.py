"""The messages of shared connections: what is written is read; anything else is one error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.client.master import mux_wire as wire
from qsh.client.master.mux_wire import Fields, MessageReader
from qsh.errors import DecodeError

FIELDS = st.one_of(st.integers(0, 2**32 - 1), st.binary(max_size=40))


@given(st.integers(0, 2**32 - 1), st.lists(FIELDS, max_size=6), st.integers(1, 50))
def test_what_is_written_is_read(number, fields, cut):
    data = wire.encode(number, *fields)
    wanted = wire.DESCRIPTORS.get(number, 0)
    reader = MessageReader()
    for start in range(0, len(data), cut):
        assert reader.next() is None
        reader.receive(data[start : start + cut], [])
    for descriptor in range(wanted):
        reader.receive(b"\0", [descriptor])
    found, body, descriptors = reader.next()
    read = [body.number() if isinstance(field, int) else body.string() for field in fields]
    assert (found, read, descriptors) == (number, fields, list(range(wanted)))
    assert body.is_at_end


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_one_error(data):
    reader = MessageReader()
    reader.receive(data, [])
    with contextlib.suppress(DecodeError):
        while (message := reader.next()) is not None:
            fields = message[1]
            while not fields.is_at_end:
                fields.text()


def test_descriptors_belong_to_their_message():
    reader = MessageReader()
    session = wire.encode(wire.NEW_SESSION, 1)
    reader.receive(session + b"\0", [7])
    assert reader.next() is None
    reader.receive(b"\0\0" + wire.encode(wire.ALIVE_CHECK, 2), [8, 9])
    assert reader.next()[2] == [7, 8, 9]
    assert reader.next()[0] == wire.ALIVE_CHECK


def test_a_request_without_its_descriptors_is_refused_and_they_can_be_closed():
    reader = MessageReader()
    reader.receive(wire.encode(wire.NEW_SESSION, 1) + bytes(3), [7])
    with pytest.raises(DecodeError):
        reader.next()
    assert reader.leftovers() == [7]
    assert reader.leftovers() == []


def test_what_is_cut_short_is_an_error():
    with pytest.raises(DecodeError):
        Fields(b"\0\0\0\5abc").string()
