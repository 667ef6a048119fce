"""A real holder with a real child; the test is the worker."""

import hashlib
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.environment import Peers, child_arguments
from qsh.server.holder.holder import run_holder
from qsh.server.holder.messages import (
    TO_WORKER,
    VERSION,
    WINDOW,
    Attached,
    Break,
    Consumed,
    Data,
    Decoder,
    Eof,
    Exited,
    Killed,
    Resize,
    Signal,
    Start,
    data_head,
    frame,
)
from qsh.server.holder.pty import Size, open_terminal
from qsh.server.holder.start import SessionPlan

ACCOUNT = replace(own_account(), shell="/bin/sh", home="/")
PLAN = SessionPlan(
    account=ACCOUNT, peers=Peers(("192.0.2.1", 1), ("192.0.2.2", 22)), arguments=[],
    command=None, original_command=None, is_forced=False, has_terminal=False, tty=None, term="",
    from_client={}, from_key={}, from_settings={}, environment_patterns=(), user_rc=False,
    print_motd=False, last_login="",
)  # fmt: skip


class Held:
    """A holder, and what it has said."""

    def __init__(self, command, *, pty=False, **changes):
        terminal = open_terminal(Size(80, 24)) if pty else None
        if terminal:
            changes |= {"has_terminal": True, "tty": terminal.name, "term": "xterm"}
        plan = replace(
            PLAN, command=command, arguments=child_arguments(ACCOUNT.shell, command), **changes
        )
        self.socket, holder = socket.socketpair()
        self.socket.settimeout(20)
        self.pid = os.fork()
        if self.pid == 0:
            self.socket.close()
            run_holder(plan, holder, terminal)
        holder.close()
        if terminal:
            terminal.close()
        self.decoder = Decoder(TO_WORKER)
        self.waiting = []
        self.seen = {1: b"", 2: b""}
        self.eofs = set()
        self.end = None
        self.tell(Start(1, b"client", "192.0.2.1 port 1", False, 0, 0))
        assert self.next() == Attached(VERSION, 0, 0, 0)

    def next(self):
        while not self.waiting:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.waiting += self.decoder.receive(data)
        return self.waiting.pop(0)

    def read(self, until=None, grant=True):
        """Take messages until `until` is in the output, or to the end."""
        while until is None or until not in self.seen[1]:
            match self.next():
                case None:
                    return self
                case Data(stream, offset, data):
                    assert offset == len(self.seen[stream])
                    self.seen[stream] += data
                    if grant:
                        self.tell(Consumed(stream, offset + len(data)))
                case Eof(stream, offset):
                    assert offset == len(self.seen[stream])
                    self.eofs.add(stream)
                case Exited() | Killed() as end:
                    self.end = end
                    self.socket.close()
                    return self
        return self

    def tell(self, message):
        self.socket.sendall(frame(message))

    def write(self, data, offset=0):
        self.socket.sendall(data_head(0, offset, len(data)) + data)

    def is_gone(self, seconds=10.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def hold():
    held = []

    def start(command, **options):
        held.append(Held(command, **options))
        return held[-1]

    yield start
    for one in held:
        one.socket.close()
        try:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_streams_and_status(hold):
    held = hold(b"echo out; echo err >&2; exit 7").read()
    assert held.seen == {1: b"out\n", 2: b"err\n"}
    assert held.eofs == {1, 2}
    assert held.end == Exited(7)
    assert held.is_gone()


def test_killed_by_a_signal(hold):
    assert hold(b"kill -TERM $$").read().end == Killed("TERM", False)


def test_killed_by_a_signal_that_has_no_name(hold):
    """A real-time one: as sshd calls it (session.c, sig2name)."""
    assert hold(b"kill -40 $$").read().end == Killed("SIG@openssh.com", False)


def test_output_after_the_exit_is_all_delivered(hold):
    held = hold(b"(sleep 0.2; echo late) & exit 3").read()
    assert held.seen[1] == b"late\n"
    assert held.end == Exited(3)


def test_binary_both_ways_with_half_close(hold):
    data = os.urandom(3 * WINDOW)
    held = hold(b"sha256sum")
    for at in range(0, len(data), 65536):
        held.write(data[at : at + 65536], at)
        while held.next().offset < at + 65536:  # not further ahead than what was consumed
            pass
    held.tell(Eof(0, len(data)))
    assert held.read().seen[1].split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_bulk_for_a_reader_that_rests(hold):
    """What goes from socket to pipe within the kernel, and what has to wait, keep their order."""
    data = os.urandom(8 * WINDOW)
    held = hold(b"dd bs=100k count=1 2>/dev/null; sleep 0.5; cat; echo end")
    at, seen = 200_000, b""
    held.write(data[:at])
    while len(seen) < len(data) + 4:
        message = held.next()
        if isinstance(message, Data) and message.stream == 1:
            seen += message.data
            held.tell(Consumed(1, len(seen)))
        consumed = message.offset if isinstance(message, Consumed) else 0
        while at < len(data) and at + 200_000 <= consumed + WINDOW:
            held.write(data[at : at + 200_000], at)
            at = min(at + 200_000, len(data))
            if at == len(data):
                held.tell(Eof(0, at))
    assert seen == data + b"end\n"


def test_output_stops_at_the_window(hold):
    held = hold(b"head -c 3000000 /dev/zero")
    count = 0
    while count < WINDOW:
        count += len(held.next().data)
    assert count == WINDOW
    held.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        held.next()


def test_stderr_flows_while_stdout_is_stopped(hold):
    held = hold(b"head -c 3000000 /dev/zero & sleep 0.1; echo err >&2; wait")
    while not held.seen[2]:
        message = held.next()
        held.seen[message.stream] += message.data
    assert held.seen[2] == b"err\n"


def test_input_beyond_the_window_ends_it(hold):
    held = hold(b"sleep 100")
    for at in range(0, 4 * WINDOW, 65536):
        try:
            held.write(bytes(65536), at)
        except OSError:
            break
    assert held.is_gone()


def test_input_that_nobody_reads_is_taken(hold):
    held = hold(b"exec <&-; sleep 0.2; echo still here")
    held.write(b"x" * 1000)
    assert held.read().seen[1] == b"still here\n"


def test_terminal(hold):
    held = hold(b"tty; stty size; read line; echo got $line; exit 4", pty=True, is_forced=True)
    held.read(until=b"24 80")
    held.write(b"hello\r")
    held.read()
    assert b"got hello" in held.seen[1]
    assert held.end == Exited(4)


def test_terminal_is_drained_to_the_end(hold):
    held = hold(b"seq 100000", pty=True).read()
    assert held.seen[1].endswith(b"\n100000\r\n")
    assert held.end == Exited(0)


def test_eof_is_not_passed_to_a_terminal(hold):
    held = hold(b"cat; echo never", pty=True)
    held.write(b"line\r")
    held.tell(Eof(0, 5))
    held.read(until=b"line\r\nline\r\n")
    held.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        held.next()


def test_resize(hold):
    held = hold(b"trap 'stty size' WINCH; echo ready; read x; sleep 5", pty=True)
    held.read(until=b"ready")
    held.tell(Resize(132, 50, 0, 0))
    held.read(until=b"50 132")


def test_signal_reaches_the_group(hold):
    held = hold(b"trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done")
    held.read(until=b"ready")
    held.tell(Signal("NONSENSE"))
    held.tell(Signal("USR1"))
    held.read()
    assert b"caught" in held.seen[1]
    assert held.end == Exited(9)


def test_no_signal_for_a_forced_command(hold):
    held = hold(b"echo ready; sleep 0.3; echo alive", is_forced=True)
    held.read(until=b"ready")
    held.tell(Signal("KILL"))
    assert held.read().seen[1] == b"ready\nalive\n"


def test_break_does_no_harm(hold):
    held = hold(b"echo ready; read x; echo $x", pty=True)
    held.read(until=b"ready")
    held.tell(Break(100))
    held.write(b"fine\r")
    held.read()
    assert b"fine" in held.seen[1]


@pytest.mark.parametrize("pty", [False, True])
def test_hang_up(hold, pty, tmp_path):
    note = tmp_path / "note"
    command = f"trap 'echo hup > {note}; exit' HUP; echo $$; while :; do sleep 0.05; done"
    held = hold(command.encode(), pty=pty)
    held.read(until=b"\n")
    child = int(held.seen[1].split()[0])
    held.socket.close()
    assert held.is_gone()
    assert note.read_text() == "hup\n"
    assert not Path(f"/proc/{child}").exists()


def test_hang_up_wakes_a_stopped_child(hold):
    held = hold(b"echo $$; kill -STOP $$")
    held.read(until=b"\n")
    held.socket.close()
    assert held.is_gone()
    assert not Path(f"/proc/{int(held.seen[1])}").exists()


def test_a_child_that_ignores_the_hang_up_does_not_keep_the_holder(hold):
    held = hold(b"trap '' HUP; echo $$; exec sleep 30")
    held.read(until=b"\n")
    held.socket.close()
    assert held.is_gone(5)
    os.kill(int(held.seen[1]), signal.SIGKILL)


def test_output_that_nobody_wants_any_more(hold):
    """SIGPIPE ends the child, as it would at the end of a local pipe."""
    held = hold(b"exec yes")
    held.next()
    held.tell(Eof(1, 0))
    while not held.end:
        match held.next():
            case Exited() | Killed() as end:
                held.end = end
    assert held.end == Killed("PIPE", False)


def test_a_worker_that_takes_nothing_more_and_stays(hold):
    """It must be in a stranger's hands: its holder must not turn in vain for as long as it
    likes."""
    held = hold(b"sleep 0.5; echo out; sleep 60")
    held.socket.shutdown(socket.SHUT_RD)
    assert held.is_gone()


def test_garbage_from_the_worker_ends_it(hold):
    held = hold(b"sleep 100")
    held.socket.sendall(b"\xff" * 64)
    assert held.is_gone()


def test_a_shell_that_is_missing(hold):
    held = hold(b"x", account=replace(ACCOUNT, shell="/no/such/shell")).read()
    assert held.seen[2] == b"/no/such/shell: No such file or directory\n"
    assert held.end == Exited(1)


def test_a_home_that_is_missing(hold):
    held = hold(b"pwd", account=replace(ACCOUNT, home="/no/such/home")).read()
    assert held.seen[1] == b"/\n"
    assert b"Could not chdir to home directory /no/such/home" in held.seen[2]


def test_the_child_has_three_files_and_clean_signals(hold):
    held = hold(b"ls /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status").read()
    assert held.seen[1].split()[:4] == [b"0", b"1", b"2", b"3"]  # 3 is ls's own
    assert held.seen[1].count(b"0000000000000000") == 2


def test_greetings_and_rc(hold, tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "rc").write_text("echo from rc\n")
    account = replace(ACCOUNT, home=str(tmp_path))
    options = {"pty": True, "account": account, "user_rc": True, "last_login": "Last login: x\r\n"}
    held = hold(None, **options)
    held.read(until=b"from rc")
    assert held.seen[1].startswith(b"Last login: x")
    held.socket.close()
    (tmp_path / ".hushlogin").touch()
    held = hold(None, **options)
    held.read(until=b"from rc")
    assert b"Last login" not in held.seen[1]
