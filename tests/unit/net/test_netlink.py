"""What Linux says about its addresses and routes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.net.netlink import (
    NLMSG_DONE,
    NLMSG_ERROR,
    RTM_DELADDR,
    RTM_F_CLONED,
    RTM_NEWROUTE,
    NetlinkMessage,
    decode_messages,
)

ADDRESS_GONE = bytes.fromhex(
    # As Linux 6.18 sent it for `ip address delete 192.0.2.1/32 dev lo`.
    "4c00000015000000200f036b233f0000022080000100000008000100c000020108000200c0000201"
    "070003006c6f0000080008008000000014000600ffffffffffffffff0814090008140900"
)


def packed(kind, body=b"", length=None):
    length = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", length, kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def route(flags):
    return struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, 1, flags)


def test_a_message_of_the_kernels_own():
    (message,) = decode_messages(ADDRESS_GONE)
    assert message.kind == RTM_DELADDR
    assert message.is_change


def test_several_in_one_datagram():
    data = packed(RTM_DELADDR, b"12345") + packed(NLMSG_ERROR, b"1234")
    found = decode_messages(data)
    assert found == [NetlinkMessage(RTM_DELADDR, b"12345"), NetlinkMessage(NLMSG_ERROR, b"1234")]
    assert [message.is_change for message in found] == [True, False]


def test_the_end_is_the_end():
    assert decode_messages(packed(NLMSG_DONE) + b"rest") == []


def test_copies_of_routes_are_no_change():
    (real,) = decode_messages(packed(RTM_NEWROUTE, route(0)))
    (copy,) = decode_messages(packed(RTM_NEWROUTE, route(RTM_F_CLONED)))
    assert real.is_change
    assert not copy.is_change


@pytest.mark.parametrize("length", [0, 15, 17, 1 << 31])
def test_impossible_lengths_are_told(length):
    with pytest.raises(DecodeError):
        decode_messages(packed(RTM_DELADDR, length=length))


@given(st.binary(max_size=200) | st.builds(packed, st.integers(0, 99), st.binary(max_size=60)))
def test_any_bytes_give_messages_or_an_error(data):
    try:
        for message in decode_messages(data):
            assert message.is_change in (True, False)
    except DecodeError:
        pass
