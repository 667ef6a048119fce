"""Many datagrams in few system calls: none is joined, cut, reordered or sent twice."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.forward import datagram_socket
from qsh.forward.datagram_socket import MAX_RUN, MAX_RUN_BYTES, runs
from qsh.net import offload

LOCALHOST = "127.0.0.1"
SIZES = st.sampled_from([0, 1, 200, 1200, 1200, 1200, 30_000])


@given(st.lists(SIZES, max_size=300))
def test_runs_are_what_the_kernel_can_cut(sizes):
    payloads = [bytes(size) for size in sizes]
    found = list(runs(payloads))
    assert [payload for run in found for payload in run] == payloads
    for run in found:
        assert len(run) <= MAX_RUN
        assert len(run) == 1 or sum(map(len, run)) <= MAX_RUN_BYTES
        *whole, last = map(len, run)
        assert set(whole) <= {len(run[0])}
        assert len(run) == 1 or 0 < last <= len(run[0])


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))
    sock.setblocking(False)
    return sock


def all_of(sock):
    found = {}
    while datagrams := datagram_socket.receive(sock):
        for address, payloads in datagrams.items():
            found.setdefault(address, []).extend(payloads)
    return found


@pytest.mark.parametrize("gro", [False, True])
@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize(
    "sizes", [[200] * 100, [200] * 10 + [7], [0, 0, 5], [9000, 1, 9000, 9000], [40_000] * 3, []]
)
def test_all_arrive_as_they_were_sent(gro, connected, sizes):
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    with bound() as near, bound() as far:
        if gro:
            offload.prepare_forward(far)
        if connected:
            near.connect(far.getsockname())
        datagram_socket.send(near, payloads, None if connected else far.getsockname())
        found = all_of(far)
        assert found == ({near.getsockname(): payloads} if sizes else {})


def test_senders_are_told_apart():
    with bound() as near, bound() as other, bound() as far:
        for number in range(6):
            (near, other)[number % 2].sendto(bytes([number]), far.getsockname())
        assert all_of(far) == {
            near.getsockname(): [b"\0", b"\2", b"\4"], other.getsockname(): [b"\1", b"\3", b"\5"]
        }  # fmt: skip


def test_an_answer_that_nobody_listens_loses_no_later_datagram():
    with bound() as near, bound() as far:
        near.connect(far.getsockname())
        nobody = far.getsockname()
        far.close()
        datagram_socket.send(near, [b"lost"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as later:
            later.bind(nobody)
            datagram_socket.send(near, [b"x"] * 3)  # the first try is told what became of "lost"
            assert later.recv(10) == b"x"
            assert later.recv(10) == b"x"


def test_what_cannot_be_sent_is_lost_and_no_more():
    with bound() as near, bound() as far:
        too_large = bytes(66_000)
        datagram_socket.send(near, [too_large, b"x"], far.getsockname())
        assert all_of(far) == {near.getsockname(): [b"x"]}
