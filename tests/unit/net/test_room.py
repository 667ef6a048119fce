"""Fair shares of an engine's queue."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from qsh.net.room import LEAST, LEAST_SHARE, MOST, Room


@dataclass(eq=False)
class Writer:
    wire: SimpleNamespace
    priority: int = 0
    woken: list = field(default_factory=list)

    def room_changed(self):
        self.woken.append(self)


class Queue:
    """The part of an engine that counts."""

    def __init__(self, window):
        self.unsent = {}
        self.stats = SimpleNamespace(congestion_window=window)

    def stream_unsent(self, stream_id):
        return self.unsent.get(stream_id, 0)


def writers(count, log=None):
    return [
        Writer(SimpleNamespace(stream_id=4 * n), n, log if log is not None else [])
        for n in range(count)
    ]


def test_one_writer_gets_what_can_be_sent_soon():
    (writer,) = writers(1)
    assert Room(Queue(12000), lambda: None).left(writer) == LEAST
    assert Room(Queue(1_000_000), lambda: None).left(writer) == 2_000_000
    assert Room(Queue(1 << 40), lambda: None).left(writer) == MOST


def test_busy_ones_share_but_nobody_starves():
    many = writers(100)
    room = Room(Queue(12000), lambda: None)
    for writer in many[:2]:
        room.wait(writer)
    assert room.left(many[0]) == LEAST // 2
    for writer in many[2:]:
        room.wait(writer)
    assert room.left(many[0]) == LEAST_SHARE
    for writer in many:
        room.stop_waiting(writer)
    assert room.left(many[0]) == LEAST


def test_little_room_is_none():
    (writer,) = writers(1)
    queue = Queue(12000)
    room = Room(queue, lambda: None)
    queue.unsent[0] = LEAST - 1000
    assert room.left(writer) == 0


def test_the_urgent_ones_go_first():
    log = []
    many = writers(3, log)
    queue = Queue(12000)
    room = Room(queue, lambda: None)
    for writer in many:
        room.wait(writer)
    queue.unsent[4] = LEAST
    room.share_out()
    assert [writer.priority for writer in log] == [2, 0]
