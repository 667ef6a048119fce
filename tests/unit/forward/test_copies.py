"""The packets of a tunnel, sent twice: what arrives of them on a path that loses."""

import random

from hypothesis import given
from hypothesis import strategies as st

from qsh.forward.copies import DISTANCE, NUMBERS, REMEMBERED, Numbered, Unseen

ALL = 1 << 20


def packets(count):
    return [b"packet %d" % number for number in range(count)]


def test_each_leaves_once_where_nothing_is_lost():
    assert Numbered().send([b"a", b"b"], 0) == [b"\x00\x00a", b"\x00\x01b"]


def test_a_copy_follows_two_packets_later_and_the_last_ones_when_none_does():
    numbered = Numbered()
    sent = [datagram[2:] for datagram in numbered.send([b"a", b"b", b"c", b"d"], ALL)]
    assert sent == [b"a", b"b", b"c", b"a", b"d", b"b"]
    assert [datagram[2:] for datagram in numbered.rest()] == [b"c", b"d"]
    assert numbered.rest() == []


def test_what_does_not_fit_one_datagram_is_sent_once():
    numbered = Numbered()
    sent = numbered.send([b"small", bytes(2000)], 1400) + numbered.rest()
    assert [len(datagram) for datagram in sent] == [7, 2002, 7]


def test_copies_that_wait_leave_when_there_are_no_more():
    numbered = Numbered()
    numbered.send([b"a", b"b"], ALL)
    sent = [datagram[2:] for datagram in numbered.send([b"c", b"d"], 0)]
    assert sent == [b"c", b"a", b"d", b"b"]


def test_of_single_losses_nothing_is_seen_inside():
    numbered, unseen = Numbered(), Unseen()
    sent = numbered.send(packets(10_000), ALL) + numbered.rest()
    chance = random.Random(1)
    arrived = unseen.receive([each for each in sent if chance.random() > 0.02])
    assert len(arrived) > 9_980
    assert len(set(arrived)) == len(arrived)


def test_a_copy_that_serves_comes_before_it_would_be_taken_for_lost():
    """Three later packets are what TCP and QUIC wait for."""
    numbered, unseen = Numbered(), Unseen()
    sent = numbered.send(packets(100), ALL)
    arrived = unseen.receive([each for place, each in enumerate(sent) if place != 40])
    order = [int(packet.split()[1]) for packet in arrived]
    assert all(sum(later > number for later in order[:place]) <= DISTANCE
               for place, number in enumerate(order))  # fmt: skip


def test_numbers_begin_again():
    numbered, unseen = Numbered(), Unseen()
    for _ in range(3):
        assert len(unseen.receive(numbered.send([b"x"] * NUMBERS, 0))) == NUMBERS
    assert len(unseen._seen) == len(unseen._order) == REMEMBERED


@given(st.lists(st.binary(max_size=8), max_size=50))
def test_anything_may_come(datagrams):
    found = Unseen().receive(datagrams)
    assert len(found) <= len({datagram[:2] for datagram in datagrams})
    assert all(found)
