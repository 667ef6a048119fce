"""The kernel's table of UDP sockets."""

import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.server.listener.udp_table import listening, unconnected

TABLE = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  1: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 3 0
  2: 0100007F:0016 0200007F:0400 01 00000000:00000000 00:00000000 00000000     0        0 1 2 3 0
  3: 00000000:0016 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 3 0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is in the machine's order")
def test_connected_ones_do_not_count():
    found = list(unconnected(TABLE.splitlines(), socket.AF_INET))
    assert found == [("127.0.0.1", 8080), ("0.0.0.0", 22)]


@given(st.lists(st.text()))
def test_any_text_is_a_table(lines):
    list(unconnected(lines, socket.AF_INET6))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_real_one(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        address = sock.getsockname()[:2]
        assert address in listening()
        sock.connect(address)
        assert address not in listening()
