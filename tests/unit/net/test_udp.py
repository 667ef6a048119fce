"""Links over real sockets on loopback, with the kernel's offloads and without."""

import asyncio
import errno
import socket

import pytest

from qsh.net import offload, udp
from qsh.net.udp import UdpLink, open_link, plain_address
from qsh.quic.engine import Transmit

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


class Receiver:
    """Keeps what it is told."""

    def __init__(self):
        self.datagrams = []
        self.runs = 0
        self.batches = 0
        self.errors = []
        self.writable = 0
        self.changed = asyncio.Event()

    def receive_datagrams(self, data, segment_size, remote):
        self.runs += 1
        parts = [data[at : at + segment_size] for at in range(0, len(data), segment_size)]
        self.datagrams += [(part, remote) for part in parts]

    def batch_ended(self):
        self.batches += 1
        self.changed.set()

    def link_writable(self):
        self.writable += 1
        self.changed.set()

    def link_failed(self, error):
        self.errors.append(error.errno)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def link_pair(family, host):
    """Two links connected to each other, and their receivers."""
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.bind((host, 0))
    ours = open_link(peer.getsockname(), family)
    peer.connect((host, ours.local[1]))
    links = ours, UdpLink(peer)
    receivers = Receiver(), Receiver()
    for link, receiver in zip(links, receivers, strict=True):
        link.start(receiver)
    return *links, *receivers


def run_of(count, size, remote, last=None):
    parts = [bytes([n]) * size for n in range(count)]
    if last is not None:
        parts.append(b"z" * last)
    return parts, Transmit(b"".join(parts), size, remote)


@pytest.mark.parametrize(("family", "host"), FAMILIES)
@pytest.mark.parametrize("has_offload", [True, False])
def test_runs_arrive_as_the_datagrams_they_are(family, host, has_offload, monkeypatch):
    if not has_offload:
        monkeypatch.setattr(offload, "prepare", lambda sock: offload.NONE)

    async def main():
        ours, theirs, _, receiver = link_pair(family, host)
        parts, transmit = run_of(30, 1200, ours.remote, last=700)
        ours.send([transmit, Transmit(b"single", 6, ours.remote)])
        await receiver.until(lambda: len(receiver.datagrams) == 32)
        assert receiver.datagrams == [(part, ours.local) for part in [*parts, b"single"]]
        assert ours.counters.datagrams_sent == 32
        assert theirs.counters.datagrams_received == 32
        if ours._offload.gso:
            assert ours.counters.send_calls == 2
        if theirs._offload.gro:
            assert theirs.counters.receive_calls < 32
        ours.close()
        theirs.close()

    asyncio.run(main())


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.ENOPROTOOPT])
def test_a_kernel_that_cannot_cut_is_found_out_once(number, monkeypatch):
    async def main():
        ours, theirs, _, receiver = link_pair(*FAMILIES[0])
        ours._offload = offload.Offload(gso=True, gro=False)
        real = ours._sendmsg

        def sendmsg(data, control, remote):
            if control:
                raise OSError(number, "cannot")
            real(data, control, remote)

        monkeypatch.setattr(ours, "_sendmsg", sendmsg)
        parts, transmit = run_of(5, 1000, ours.remote)
        ours.send([transmit])
        await receiver.until(lambda: len(receiver.datagrams) == 5)
        assert [data for data, _ in receiver.datagrams] == parts
        assert not ours._offload.gso
        ours.close()
        theirs.close()

    asyncio.run(main())


def test_what_is_too_large_for_the_path_is_lost_without_a_word():
    async def main():
        ours, theirs, receiver, _ = link_pair(*FAMILIES[0])
        ours.send([Transmit(bytes(65520), 65520, ours.remote)])
        assert not receiver.errors
        assert ours.counters.refused == 1
        ours.close()
        theirs.close()

    asyncio.run(main())


def test_waiting_for_room_keeps_order_and_tells_when_it_is_over(monkeypatch):
    async def main():
        ours, theirs, sender, receiver = link_pair(*FAMILIES[0])
        ours._offload = offload.NONE
        real, calls = ours._sendmsg, []

        def sendmsg(data, control, remote):
            calls.append(len(data))
            if len(calls) in (3, 4):
                raise BlockingIOError
            real(data, control, remote)

        monkeypatch.setattr(ours, "_sendmsg", sendmsg)
        parts, transmit = run_of(5, 1000, ours.remote)
        ours.send([transmit])
        assert not ours.is_writable
        ours.send([Transmit(b"later", 5, ours.remote)])
        await sender.until(lambda: sender.writable)
        assert ours.is_writable
        await receiver.until(lambda: len(receiver.datagrams) == 6)
        assert [data for data, _ in receiver.datagrams] == [*parts, b"later"]
        ours.close()
        theirs.close()

    asyncio.run(main())


def test_nobody_listens():
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            nobody = sock.getsockname()
        link, receiver = open_link(nobody, socket.AF_INET), Receiver()
        link.start(receiver)
        link.send([Transmit(b"x", 1, nobody)])
        await receiver.until(lambda: receiver.errors == [errno.ECONNREFUSED])
        link.send([Transmit(b"x", 1, nobody)])
        link.send([Transmit(b"x", 1, nobody)])
        assert not receiver.datagrams
        link.close()
        link.send([Transmit(b"x", 1, nobody)])
        link.close()

    asyncio.run(main())


def test_strays_from_before_the_connect_are_set_apart():
    async def main():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"stray", sock.getsockname())
            whence = ("127.0.0.1", stranger.getsockname()[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            sock.connect(peer.getsockname())
            peer.sendto(b"peer", sock.getsockname())
            strays, receiver = [], Receiver()
            link = UdpLink(sock, on_stray=lambda data, source: strays.append((data, source)))
            link.start(receiver)
            await receiver.until(lambda: receiver.datagrams)
            assert receiver.datagrams == [(b"peer", peer.getsockname())]
            assert strays == [(b"stray", whence)]
            assert link.counters.strays == 1
            link.close()

    asyncio.run(main())


def test_an_unconnected_link_answers_whoever_asks():
    async def main():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
        server, receiver = UdpLink(sock), Receiver()
        server.start(receiver)
        client, answers = open_link(("127.0.0.1", server.local[1]), socket.AF_INET), Receiver()
        client.start(answers)
        client.send([Transmit(b"ask", 3, client.remote)])
        await receiver.until(lambda: receiver.datagrams)
        assert receiver.datagrams == [(b"ask", client.local)]
        server.send([Transmit(b"answer", 6, client.local)])
        await answers.until(lambda: answers.datagrams)
        assert answers.datagrams == [(b"answer", client.remote)]
        server.close()
        client.close()

    asyncio.run(main())


def test_one_wake_up_reads_much_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(udp, "READS_PER_TURN", 4)
    monkeypatch.setattr(offload, "prepare", lambda sock: offload.NONE)

    async def main():
        ours, theirs, _, receiver = link_pair(*FAMILIES[0])
        for _ in range(10):
            ours.send([Transmit(b"x", 1, ours.remote)])
        await receiver.until(lambda: len(receiver.datagrams) == 10)
        assert receiver.batches >= 3
        ours.close()
        theirs.close()

    asyncio.run(main())


def test_addresses_are_plain():
    assert plain_address(("::ffff:192.0.2.1", 5, 0, 0)) == ("192.0.2.1", 5)
    assert plain_address(("fe80::1%eth0", 5, 0, 2)) == ("fe80::1", 5)
    assert plain_address(("192.0.2.1", 5)) == ("192.0.2.1", 5)
