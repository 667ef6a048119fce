"""QUIC packets over a stream: what goes in comes out, however it is cut."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.wire.packet_frames import PacketReader, encode_packets

PACKETS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


@given(PACKETS, st.integers(1, 50))
def test_what_is_written_is_read(packets, cut):
    data = b"".join(encode_packets(packet, len(packet)) for packet in packets)
    reader, found = PacketReader(), []
    for start in range(0, len(data), cut):
        found += reader.receive(data[start : start + cut])
    assert found == packets


@given(st.binary(min_size=1, max_size=100), st.integers(1, 30))
def test_a_run_is_cut_into_its_datagrams(data, size):
    wanted = [data[start : start + size] for start in range(0, len(data), size)]
    assert PacketReader().receive(encode_packets(data, size)) == wanted


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_packets_or_one_error(pieces):
    reader = PacketReader()
    with contextlib.suppress(DecodeError):
        for piece in pieces:
            assert all(reader.receive(piece))


def test_the_vector_of_the_document():
    assert encode_packets(b"test", 4) == bytes.fromhex("000474657374")
    with pytest.raises(DecodeError):
        PacketReader().receive(b"\0\0")
