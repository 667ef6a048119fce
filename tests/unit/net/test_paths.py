"""Several links under one driver."""

import asyncio

from qsh.net.paths import OVERLAP, Paths
from qsh.quic.engine import Transmit
from tests.pair import SERVER_ADDRESS, run

HERE, THERE, OTHER_FAMILY = ("192.0.2.1", 1), ("192.0.2.1", 2), ("2001:db8::2", 22)
DATAGRAM = Transmit(b"hello", 5, SERVER_ADDRESS)


class Link:
    """Remembers what it was asked."""

    def __init__(self, local, remote=SERVER_ADDRESS):
        self.local, self.remote = local, remote
        self.is_writable = True
        self.sent, self.is_closed, self.receiver = [], False, None

    def start(self, receiver):
        self.receiver = receiver

    def send(self, transmits):
        self.sent += transmits

    def close(self):
        self.is_closed = True

    def deliver(self, data, remote=None):
        self.receiver.receive_datagrams(data, len(data), remote or self.remote)
        self.receiver.batch_ended()


class Receiver:
    def __init__(self):
        self.got, self.batches, self.failures, self.writable = [], 0, [], 0

    def receive_datagrams(self, data, _size, remote):
        self.got.append((data, remote))

    def batch_ended(self):
        self.batches += 1

    def link_writable(self):
        self.writable += 1

    def link_failed(self, error):
        self.failures.append(error)


def on_loop(test):
    def wrapped():
        run(test())

    return wrapped


def started(first, **options):
    paths, receiver = Paths(first, **options), Receiver()
    paths.start(receiver)
    return paths, receiver


@on_loop
async def test_the_new_path_is_used_and_the_old_one_heard():
    old, new = Link(HERE), Link(THERE)
    paths, receiver = started(old, hides_peer=True)
    paths.use(new)
    paths.send([DATAGRAM])
    assert (old.sent, new.sent) == ([], [DATAGRAM])
    assert paths.local == THERE
    old.deliver(b"late")
    assert receiver.got == [(b"late", SERVER_ADDRESS)]


@on_loop
async def test_the_old_path_is_closed_once_the_new_one_has_proved_itself():
    old, new = Link(HERE), Link(THERE)
    paths, _ = started(old, hides_peer=True)
    paths.use(new)
    await asyncio.sleep(100)
    assert not old.is_closed
    assert not paths.is_heard
    new.deliver(b"here I am")
    assert paths.is_heard
    await asyncio.sleep(OVERLAP + 0.1)
    assert (old.is_closed, new.is_closed) == (True, False)


@on_loop
async def test_back_to_the_old_path():
    old, new = Link(HERE), Link(THERE)
    paths, _ = started(old, hides_peer=True)
    assert not paths.go_back()
    paths.use(new)
    assert paths.go_back()
    paths.send([DATAGRAM])
    assert (old.sent, new.sent) == ([DATAGRAM], [])


@on_loop
async def test_the_engine_never_learns_which_of_the_servers_addresses_it_talks_to():
    four, six = Link(HERE), Link(("2001:db8::1", 1), OTHER_FAMILY)
    paths, receiver = started(four, hides_peer=True)
    paths.use(six)
    paths.send([DATAGRAM])
    assert six.sent == [Transmit(b"hello", 5, OTHER_FAMILY)]
    six.deliver(b"answer")
    assert receiver.got == [(b"answer", SERVER_ADDRESS)]


@on_loop
async def test_a_server_answers_each_address_by_its_own_link():
    one, two = Link(SERVER_ADDRESS, HERE), Link(SERVER_ADDRESS, THERE)
    paths, receiver = started(one, hides_peer=False)
    paths.use(two)
    transmits = [Transmit(b"a", 1, HERE), Transmit(b"b", 1, THERE), Transmit(b"c", 1, HERE)]
    paths.send(transmits)
    assert one.sent == [transmits[0], transmits[2]]
    assert two.sent == [transmits[1]]
    one.deliver(b"x")
    assert receiver.got == [(b"x", HERE)]


@on_loop
async def test_what_no_link_leads_to_is_relayed():
    one, relayed = Link(SERVER_ADDRESS, HERE), []
    paths, _ = started(one, hides_peer=False)
    transmit = Transmit(b"b", 1, THERE)
    paths.send([transmit])
    assert one.sent == [transmit]
    paths.relay = relayed.append
    paths.send([transmit])
    assert relayed == [transmit]


@on_loop
async def test_a_server_uses_an_old_link_again():
    one, two = Link(SERVER_ADDRESS, HERE), Link(SERVER_ADDRESS, THERE)
    paths, _ = started(one, hides_peer=False)
    assert not paths.use_again(THERE)
    paths.use(two)
    assert paths.use_again(HERE)
    assert paths.remote == HERE
    await asyncio.sleep(OVERLAP + 0.1)
    assert (one.is_closed, two.is_closed) == (False, True)


@on_loop
async def test_only_the_path_in_use_has_a_say():
    old, new = Link(HERE), Link(THERE)
    paths, receiver = started(old, hides_peer=True)
    paths.use(new)
    old.receiver.link_failed(OSError())
    old.receiver.link_writable()
    assert (receiver.failures, receiver.writable) == ([], 0)
    new.receiver.link_failed(OSError())
    new.receiver.link_writable()
    assert (len(receiver.failures), receiver.writable) == (1, 1)
    new.is_writable = False
    assert not paths.is_writable


@on_loop
async def test_after_the_end_everything_is_closed():
    old, new, late = Link(HERE), Link(THERE), Link(THERE)
    paths, _ = started(old, hides_peer=True)
    paths.use(new)
    paths.close()
    paths.use(late)
    assert old.is_closed
    assert new.is_closed
    assert late.is_closed
