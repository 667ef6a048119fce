"""What is sent again, how often, and what becomes of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.net.repeats import COPIES, COPY, PAUSE, REST, SMALL, WINDOW, Repeats
from qsh.wire.aside import decode_copy


@pytest.fixture
def lossy():
    """Repeats on a path that loses."""
    repeats = Repeats()
    repeats.losses.look(0, 0, 0.0)
    repeats.losses.look(10, 3, 0.2)
    assert repeats.losses.is_lossy
    return repeats


def flush(repeats, now):
    """The copies that leave with a flush: (stream, offset, data)."""
    return [decode_copy(copy) for copy in repeats.flushing(now, PAUSE)]


def test_a_key_goes_out_thrice_more_at_growing_pauses(lossy):
    lossy.wrote(4, b"k", False, 1.0)
    assert flush(lossy, 1.0) == []
    times = []
    while (due := lossy.due(1.0, PAUSE)) is not None:
        times.append(due)
        assert flush(lossy, due - 0.01) == []
        assert flush(lossy, due) == [(4, 0, b"k")]
    assert len(times) == COPIES
    assert times == pytest.approx([1 + PAUSE, 1 + 3 * PAUSE, 1 + 7 * PAUSE])


def test_copies_ride_along_with_what_is_typed_next(lossy):
    for number, key in enumerate((b"a", b"b", b"c", b"d", b"e")):
        lossy.wrote(4, key, False, 1 + number / 50)
        old = b"abcd"[max(0, number - COPIES) : number]
        expected = [(4, max(0, number - COPIES), old)] if old else []
        assert flush(lossy, 1 + number / 50) == expected


def test_what_is_acknowledged_is_not_repeated(lossy):
    lossy.wrote(4, b"a", False, 1.0)
    lossy.all_arrived()
    assert lossy.due(1.0, PAUSE) is not None  # it has not been sent yet
    flush(lossy, 1.0)
    lossy.all_arrived()
    assert lossy.due(1.0, PAUSE) is None


def test_what_was_repeated_often_enough_is_wanted_again_after_an_outage(lossy):
    """All copies went into the outage as well."""
    for number, key in enumerate((b"a", b"b")):
        lossy.wrote(4, key, False, 1 + number)
        flush(lossy, 1 + number)
        while (due := lossy.due(1 + number, PAUSE)) is not None:
            flush(lossy, due)
    lossy.again(0.9, 30.0, 0.1, is_whole=False)
    assert flush(lossy, 30.0) == [(4, 0, b"ab")]
    lossy.all_arrived()
    lossy.again(0.9, 40.0, 0.1, is_whole=False)
    assert flush(lossy, 40.0) == []


def test_after_an_outage_all_that_is_kept_goes_out_at_once(lossy):
    """The last of it is of no use to who lacks the first."""
    for number in range(20):
        lossy.wrote(4, b"%02d" % number * 50, False, 1 + number)
        flush(lossy, 1 + number)
    lossy.again(0.9, 30.0, 0.1, is_whole=True)
    copies = flush(lossy, 30.0)
    assert all(len(data) <= COPY for _, _, data in copies)
    assert [offset for _, offset, _ in copies] == [0, COPY]
    assert b"".join(data for _, _, data in copies) == b"".join(b"%02d" % n * 50 for n in range(20))
    lossy.again(0.9, 30.2, 0.1, is_whole=False)
    assert [len(data) for _, _, data in flush(lossy, 30.2)] == [COPY]


def test_nothing_is_repeated_where_nothing_is_lost():
    repeats = Repeats()
    repeats.losses.look(1000, 1, 1.0)
    repeats.wrote(4, b"k", False, 1.0)
    assert repeats.due(1.0, PAUSE) is None


def test_bulk_is_never_repeated(lossy):
    lossy.wrote(4, b"k", False, 1.0)
    lossy.wrote(4, bytes(SMALL + 1), False, 1.01)
    assert lossy.due(1.0, PAUSE) is None
    for number in range(100):  # nor bulk in little pieces
        lossy.wrote(8, bytes(50), False, 2 + number / 1000)
        assert all(len(data) <= COPY for _, _, data in flush(lossy, 2 + number / 1000))
    assert lossy.due(1.0, PAUSE) is None
    lossy.wrote(8, b"k", False, 2.1 + 2 * REST)
    assert lossy.due(1.0, PAUSE) is not None


def test_what_was_under_way_to_an_old_address_is_repeated_at_once():
    repeats = Repeats()
    for number, key in enumerate((b"a", b"b", b"c")):
        repeats.wrote(4, key, False, 1 + number / 10)
        assert flush(repeats, 1 + number / 10) == []
    repeats.again(1.1, 1.25, 0.15, is_whole=False)
    assert repeats.due(1.25, PAUSE) < 1.25
    assert flush(repeats, 1.25) == [(4, 1, b"bc")]
    assert repeats.due(1.5, PAUSE) is None
    repeats.wrote(4, b"d", False, 1.5)
    assert flush(repeats, 1.5) == []


def test_losses_are_forgotten(lossy):
    now = 0.2
    while now < 2.5 * WINDOW:
        now += 0.5
        lossy.losses.look(10, 3, now)
    assert not lossy.losses.is_lossy


@given(st.integers(), st.floats(0, 0.6), st.integers(1, 60))
def test_whatever_is_lost_the_reader_gets_the_stream(seed, loss, writes):
    chance = random.Random(seed)
    sender, reader = Repeats(), Repeats()
    sender.losses.is_lossy = True
    reader.arrived(4, b"", False)
    sent, got, held, now = b"", b"", b"", 0.0
    for number in range(writes):
        now += chance.choice([0.0, 0.02, 0.2])
        data = bytes(chance.randrange(256) for _ in range(chance.choice([1, 5, 40, 300])))
        sent += data
        sender.wrote(4, data, False, now)
        copies = sender.flushing(now, PAUSE)
        held += data  # the stream itself comes late, in order
        if chance.random() > loss:
            got += reader.arrived(4, held, False)
            held = b""
        for copy in copies:
            if chance.random() > loss and (news := reader.copied(copy)):
                assert news[0] == 4
                got += news[1]
        assert sent.startswith(got), number
    got += reader.arrived(4, held, True)
    assert got == sent


def test_copies_of_unknown_streams_are_nothing(lossy):
    lossy.wrote(4, b"k", False, 1.0)
    flush(lossy, 1.0)
    [copy] = lossy.flushing(2.0, PAUSE)
    assert Repeats().copied(copy) is None


def test_after_the_end_nothing_is_repeated(lossy):
    lossy.wrote(4, b"k", False, 1.0)
    lossy.wrote(4, b"", True, 1.0)
    assert lossy.due(1.0, PAUSE) is None
