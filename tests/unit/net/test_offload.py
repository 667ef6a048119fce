"""Control messages of the kernel's UDP offloads."""

import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.net import offload


def test_the_segment_size_comes_from_the_control_data():
    control = [(offload.SOL_UDP, offload.UDP_GRO, struct.pack("=i", 1200))]
    assert offload.segment_size(control, 5000) == 1200
    assert offload.segment_size([], 5000) == 5000
    assert offload.segment_size([(0, 8, b"\0\0\0\0")], 5000) == 5000


@given(st.lists(st.tuples(st.integers(), st.integers(), st.binary())), st.integers(1, 65535))
def test_any_control_data_gives_a_size_within_the_buffer(control, length):
    assert 0 < offload.segment_size(control, length) <= length


@given(st.binary(max_size=5000), st.integers(1, 1500))
def test_split_loses_nothing(data, size):
    parts = offload.split(data, size)
    assert b"".join(parts) == data
    assert all(len(part) == size for part in parts[:-1])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_preparing_a_socket_never_fails(family):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        found = offload.prepare(sock)
        if not sys.platform.startswith("linux"):
            assert found == offload.NONE


def test_other_systems_have_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert offload.prepare(sock) == offload.NONE


def test_a_kernel_without_offloads(monkeypatch):
    monkeypatch.setattr(offload, "UDP_SEGMENT", 250)
    monkeypatch.setattr(offload, "UDP_GRO", 251)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert offload.prepare(sock) == offload.NONE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells")
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_the_route_tells_how_large_datagrams_may_be(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert offload.largest_payload(sock) == offload.ETHERNET_PAYLOAD
        try:
            sock.connect((address, 9))
        except OSError:
            pytest.skip(f"no {address} here")
        largest = offload.largest_payload(sock)
        assert offload.ETHERNET_PAYLOAD <= largest <= offload.MAX_PAYLOAD
        sock.send(bytes(largest))
