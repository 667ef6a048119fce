"""A real holder of a session that is kept: clients come and go; the test is their workers."""

import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from qsh.server.accounts.environment import child_arguments
from qsh.server.holder import door
from qsh.server.holder.holder import run_holder
from qsh.server.holder.messages import (
    ANY_OFFSET,
    TO_WORKER,
    Acknowledged,
    Attached,
    Consumed,
    Data,
    Decoder,
    Eof,
    Exited,
    Goodbye,
    Killed,
    Mode,
    Reason,
    Resize,
    SentAway,
    Start,
    data_head,
    frame,
)
from qsh.server.holder.pty import Size, open_terminal
from qsh.server.holder.start import Keeping
from qsh.server.run_directory import bind_socket
from tests.unit.server.holder.test_holder import ACCOUNT, PLAN

pytestmark = pytest.mark.no_cover  # it would take seven times as long

NAME = "0-door"
ECHO = b"stty -echo; echo ready; while read x; do echo got $x; done"
ORIGIN = "192.0.2.1 port 1"


class Visitor:
    """One client's worker: what it has seen, from which offset."""

    def __init__(self, sock, mode=Mode.TAKE_OVER, client=b"one", at=ANY_OFFSET, origin=ORIGIN):
        self.socket = sock
        self.socket.settimeout(20)
        self.decoder = Decoder(TO_WORKER)
        self.waiting = []
        self.seen = bytearray()
        self.input = 0
        self.last = None
        self.tell(Start(mode, client, origin, True, at, min(at, 0)))

    def tell(self, message):
        self.socket.sendall(frame(message))

    def types(self, data):
        self.socket.sendall(data_head(0, self.input, len(data)) + data)
        self.input += len(data)

    def next(self):
        while not self.waiting:
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self.waiting += self.decoder.receive(data)
        return self.waiting.pop(0)

    def attached(self):
        self.last = self.next()
        if isinstance(self.last, Attached):
            self.begin, self.input = self.last.output_offset, self.last.input_offset
        return self.last

    def read(self, until=None, acknowledge=True):
        """Until that is in the output; without it, to the last message that is no output."""
        is_there = until is not None and until in self.seen
        while not is_there:
            match message := self.next():
                case Data(1, offset, data):
                    assert offset == self.begin + len(self.seen)
                    self.seen += data
                    is_there = until is not None and until in self.seen[-len(data) - len(until) :]
                    self.tell(Consumed(1, offset + len(data)))
                    if acknowledge:
                        self.tell(Acknowledged(1, offset + len(data)))
                case Exited() | Killed() | SentAway() | None:
                    self.last = message
                    return self
        return self


class Kept:
    """The holder."""

    def __init__(self, folder, command, *, pty=True, keeping, size=(80, 24)):
        self.folder = str(folder)
        terminal = open_terminal(Size(*size)) if pty else None
        changes = {"has_terminal": True, "tty": terminal.name, "term": "xterm"} if pty else {}
        plan = replace(PLAN, command=command, keeping=keeping,
                       arguments=child_arguments(ACCOUNT.shell, command), **changes)  # fmt: skip
        listening = bind_socket(self.folder, NAME)
        first, holder = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            first.close()
            entrance = door.Door(listening, os.geteuid())
            entrance.claim()
            run_holder(plan, holder, terminal, entrance)
        holder.close()
        listening.close()
        if terminal:
            terminal.close()
        self.visitors = [Visitor(first, at=0)]
        assert self.first.attached() == Attached(2, 0, 0, 0)

    @property
    def first(self):
        return self.visitors[0]

    def visit(self, *arguments, **options):
        one = Visitor(door.join(self.folder, NAME), *arguments, **options)
        self.visitors.append(one)
        return one

    def memory(self):
        """Resident, in KiB."""
        with open(f"/proc/{self.pid}/status") as file:
            return int(file.read().partition("VmRSS:")[2].split()[0])

    def processor_time(self):
        """In ticks of the kernel's clock."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def rests(self, done, seconds=90.0):
        """Until the command has made that file, and the holder has read all that was printed."""
        end = time.monotonic() + seconds
        while not done.exists():
            assert time.monotonic() < end, Path(f"/proc/{self.pid}/status").read_text()
            time.sleep(0.05)
        before = None
        while before != (now := self.processor_time()):
            before = now
            time.sleep(0.5)

    def is_gone(self, seconds=20.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def keep(tmp_path):
    made = []

    def start(command, name="work", timeout=None, drops_output=True, keeps_screen=False,
              **options):  # fmt: skip
        keeping = Keeping(name, timeout, drops_output, keeps_screen)
        made.append(Kept(tmp_path, command, keeping=keeping, **options))
        return made[-1]

    yield start
    for one in made:
        for visitor in one.visitors:
            visitor.socket.close()
        try:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_the_end_of_ones_input_is_not_that_of_the_next(keep):
    """Whoever left with `~d` has closed his standard input too."""
    kept = keep(ECHO)
    kept.first.read(b"ready")
    kept.first.tell(Eof(0, 0))
    kept.first.socket.close()
    second = kept.visit(client=b"two")
    second.types(b"ahead\n")  # before it is told that it is attached
    assert second.attached().input_offset == 0
    assert b"got ahead" in second.read(b"got ahead").seen


def test_a_client_without_a_window_leaves_the_size(keep):
    kept = keep(b"stty -echo; echo ready; read x; stty size")
    kept.first.read(b"ready")
    second = kept.visit(client=b"two")
    second.attached()
    second.tell(Resize(0, 0, 0, 0))
    second.types(b"\n")
    assert b"24 80" in second.read(b"24 80").seen


def test_who_comes_back_goes_on_where_it_stopped(keep):
    kept = keep(ECHO)
    kept.first.read(b"ready")
    kept.first.types(b"a\nb\n")
    got = len(kept.first.read(b"got b\r\n").seen)
    kept.first.socket.close()
    again = kept.visit(Mode.RESUME, at=got)
    assert again.attached() == Attached(2, 4, got, 0)
    again.socket.sendall(data_head(0, 2, 4) + b"b\nc\n")  # half of it had come
    assert again.read(b"got c\r\n").seen == b"got c\r\n"


def test_a_gap_in_the_input_ends_its_worker_only(keep):
    kept = keep(ECHO)
    kept.first.read(b"ready")
    kept.first.input = 7
    kept.first.types(b"x\n")
    assert kept.first.read().last is None
    second = kept.visit(client=b"two")
    second.attached()
    second.types(b"fine\n")
    assert b"got fine" in second.read(b"got fine").seen


def test_taken_over(keep):
    kept = keep(ECHO)
    kept.first.read(b"ready")
    kept.visit(client=b"two", origin="198.51.100.9 port 5").attached()
    assert kept.first.read().last == SentAway(Reason.TAKEN_OVER, "198.51.100.9 port 5")
    back = kept.visit(Mode.RESUME, at=0)
    assert back.attached() == SentAway(Reason.TAKEN_OVER, "198.51.100.9 port 5")


def test_a_stranger_cannot_resume(keep):
    kept = keep(ECHO)
    assert kept.visit(Mode.RESUME, client=b"x").attached() == SentAway(Reason.GONE, "")


def test_who_resumes_takes_its_own_place(keep):
    kept = keep(ECHO)
    kept.first.read(b"ready")
    again = kept.visit(Mode.RESUME, at=7)
    assert isinstance(again.attached(), Attached)
    assert kept.first.read().last == SentAway(Reason.RESUMED, ORIGIN)


def test_watching_is_not_typing(keep):
    kept = keep(ECHO)
    watcher = kept.visit(Mode.WATCH, client=b"two")
    watcher.attached()
    watcher.types(b"never\n")
    kept.first.types(b"seen\n")
    assert b"never" not in watcher.read(b"got seen").seen


def test_good_bye_ends_a_session_without_a_name(keep):
    kept = keep(ECHO, name="")
    kept.first.tell(Goodbye())
    kept.first.socket.close()
    assert kept.is_gone()


def test_good_bye_leaves_a_session_with_a_name(keep):
    kept = keep(ECHO)
    kept.first.tell(Goodbye())
    kept.first.socket.close()
    assert isinstance(kept.visit(client=b"two").attached(), Attached)


def test_nobody_comes_in_time(keep):
    kept = keep(ECHO, timeout=0.2)
    kept.first.socket.close()
    assert kept.is_gone()


def test_the_end_waits_for_somebody_to_hear_it(keep):
    kept = keep(b"exit 5")
    kept.first.socket.close()
    second = kept.visit(Mode.RESUME, at=0)
    second.attached()
    assert second.read().last == Exited(5)
    second.tell(Goodbye())
    assert kept.is_gone()


def test_without_a_terminal_output_waits_for_a_reader(keep):
    kept = keep(b"seq 4000000; echo end", pty=False, drops_output=False)
    kept.first.socket.close()
    second = kept.visit(Mode.RESUME, at=0)
    second.attached()
    seen = second.read(b"end\n").seen
    assert seen == b"".join(b"%d\n" % n for n in range(1, 4000001)) + b"end\n"


def test_described_and_ended_by_the_door(keep):
    kept = keep(ECHO)
    kept.first.read(b"ready")
    assert door.describe_all(kept.folder, [NAME])[NAME] == door.Found(
        kept.pid, door.Described(False, ORIGIN, 0)
    )
    door.end(kept.folder, NAME)
    assert kept.is_gone()


@pytest.mark.parametrize("packet", [b"", b"\x00", b"\xff" * 4096, b"\x01"])
def test_nonsense_at_the_door_is_shown_out(keep, packet):
    kept = keep(ECHO)
    with door._knock(kept.folder, NAME) as knock:
        if packet:
            knock.send(packet)
        knock.shutdown(socket.SHUT_WR)
        assert not knock.recv(100)
    assert door.describe_all(kept.folder, [NAME])[NAME].described


def test_only_the_screen_is_kept(keep, tmp_path):
    """What ran through while nobody was there is gone; what stands there is drawn."""
    done = tmp_path / "done"
    kept = keep(b"stty -echo; echo ready; read x; seq 100000; printf end; touch %s; read x; "
                b"echo got $x" % bytes(done), keeps_screen=True)  # fmt: skip
    kept.first.read(b"ready")
    kept.first.types(b"\n")
    kept.first.read(b"9999\r\n")
    kept.first.socket.close()
    kept.rests(done)
    second = kept.visit(client=b"two")
    second.attached()
    seen = second.read(b"end").seen
    assert len(seen) < 65536
    assert seen.count(b"\n") <= 24  # to push up what the terminal showed
    for number in range(99978, 100001):
        assert b"%d" % number in seen
    second.types(b"fine\n")
    second.read(b"got fine")


def slow_clock():
    time.sleep(0.0003)
    return time.monotonic()


def test_who_missed_what_switched_the_terminal_is_told(keep, tmp_path, monkeypatch):
    """Of five megabytes the first is dropped, with what editors say at their start; also where
    each look at the clock takes as long as the holder rests between two reads."""
    monkeypatch.setattr("qsh.server.holder.holder.time", SimpleNamespace(monotonic=slow_clock))
    done = tmp_path / "done"
    kept = keep(b"stty -echo; echo ready; read x; "
                b"printf '\\033[?1049h\\033[?2004h\\033[?25lbegun'; "
                b"head -c 5000000 /dev/zero | tr '\\0' x; touch %s; read x; "
                b"echo got $x" % bytes(done), drops_output=True)  # fmt: skip
    kept.first.read(b"ready")
    kept.first.types(b"\n")
    kept.first.read(b"begun")
    kept.first.socket.close()
    kept.rests(done)
    second = kept.visit(client=b"two")
    second.attached()
    seen = second.read(b"?25l").seen
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?2004h" in seen
    second.types(b"fine\n")
    second.read(b"got fine")


def test_a_flood_beside_a_screen_is_bounded(keep):
    kept = keep(b"echo ready; exec yes", keeps_screen=True)
    kept.first.read(b"ready")
    kept.first.socket.close()
    time.sleep(1)
    before = kept.memory()
    time.sleep(2)
    assert kept.memory() < before + 2000
    second = kept.visit(client=b"two")
    second.attached()
    assert second.read(b"y\x1b").seen.count(b"y") >= 20
