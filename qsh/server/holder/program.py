"""The program of one session, as its holder sees it: its process, its terminal or pipes.

Nothing here blocks, but for `hang_up`. The process stays unreaped until the end, so that its
group's number cannot pass to others.
"""

import contextlib
import fcntl
import os
import selectors
import signal
import termios
import time
from collections import deque

from qsh.server.holder import pty
from qsh.server.holder.child import ChildFiles, run_child
from qsh.server.holder.messages import ERRORS, INPUT, OUTPUT, Exited, Killed
from qsh.server.holder.pty import Size, Terminal
from qsh.server.holder.start import SessionPlan

READ_SIZE = 256 * 1024
"""Bytes per read of a pipe: what keeps its writer busy meanwhile."""
TERMINAL_READ_SIZE = 64 * 1024
"""The same of a terminal, which never has more: pieces stay small in memory."""
PIPE_SIZE = 1 << 20
"""Bytes for each pipe, where the kernel allows it: fewer wake-ups for bulk data."""
_SPLICE_F_NONBLOCK = 2
"""linux/splice.h."""
HANG_UP_PATIENCE = 1.0
"""Seconds for the program to end after SIGHUP before it is left to init."""
SIGNALS = frozenset(
    ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM",
     "USR1", "USR2")
)  # fmt: skip
"""RFC 4254 section 6.10."""
NAMELESS = "SIG@openssh.com"
"""In the place of a signal's name that the RFC does not know, as sshd's."""


class Program:
    """A running program. `files` are our ends: 0 to write to, 1 and 2 to read from; with a
    terminal the same master is 0 and 1. `ended` can be waited for, as for reading."""

    def __init__(self, child: int, files: dict[int, int], plan: SessionPlan) -> None:
        self.files = files
        self.has_terminal = plan.has_terminal
        self.ended = os.pidfd_open(child)
        self.open_outputs = {stream for stream in (OUTPUT, ERRORS) if stream in files}
        self.exit: Exited | Killed | None = None
        self._child = child
        self._is_forced = plan.is_forced
        self._input: deque[tuple[bytes, bytes]] = deque()
        self._input_ends = False

    # ------------------------------------------------------------ bytes

    def read(self, stream: int, size: int) -> bytes | None:
        """Some output; empty at its end, None if there is none now."""
        try:
            most = TERMINAL_READ_SIZE if self.has_terminal else READ_SIZE
            data = os.read(self.files[stream], min(size, most))
        except BlockingIOError:
            return None
        except OSError:  # EIO: the terminal has no user any more
            data = b""
        if not data:
            self.open_outputs.discard(stream)
        return data

    @property
    def has_input(self) -> bool:
        """Whether some waits to be written."""
        return bool(self._input)

    def put(self, client: bytes, data: bytes) -> None:
        """Input of a client, to be written after all other."""
        if not self._input_ends:
            self._input.append((client, data))

    def splice(self, source: int, most: int) -> int:
        """Move input from a socket to the program without looking at it, if it is its turn; how
        many bytes it was."""
        if self._input or self._input_ends or self.has_terminal or INPUT not in self.files:
            return 0
        moved = 0
        with contextlib.suppress(OSError):  # nothing is there, or no room: `write` finds out
            while moved < most and (count := os.splice(
                source, self.files[INPUT], most - moved, flags=_SPLICE_F_NONBLOCK)):  # fmt: skip
                moved += count
        return moved

    def write(self) -> dict[bytes, int]:
        """Write what the program takes now; how many bytes it was, by client."""
        counts: dict[bytes, int] = {}
        while self._input and INPUT in self.files:
            client, piece = self._input[0]
            try:
                count = os.write(self.files[INPUT], piece)
            except BlockingIOError:
                break
            except OSError:  # nobody reads it any more: take it, as a pipe's reader that ignores it
                count = len(piece)
            counts[client] = counts.get(client, 0) + count
            if count < len(piece):
                self._input[0] = (client, piece[count:])
                break
            self._input.popleft()
        return counts

    def end_input(self) -> None:
        """A client has no more. A terminal stays as it is, as with sshd: others may come to type.
        """
        self._input_ends = not self.has_terminal

    def finished_input(self) -> int | None:
        """The descriptor to close once all input is written: EOF is passed on by closing the
        pipe."""
        if self._input_ends and not self._input:
            return self.files.pop(INPUT, None)
        return None

    def refuse(self, stream: int) -> int | None:
        """The descriptor to close since nobody wants this output any more: the program is to
        find its pipe broken."""
        if stream not in self.open_outputs or self.has_terminal:
            return None
        self.open_outputs.discard(stream)
        return self.files.pop(stream)

    # ------------------------------------------------------------ the terminal, and signals

    def resize(self, size: Size) -> None:
        """A new size for the terminal; the program is told. Who has no window says 0 by 0, which
        counts for nothing (RFC 4254 section 6.2)."""
        if self.has_terminal and size.columns and size.rows:
            with contextlib.suppress(OSError):
                pty.resize(self.files[OUTPUT], size)

    def repaint(self) -> None:
        """Have the program draw its screen anew, as after a change of size."""
        if self.has_terminal:
            with contextlib.suppress(OSError):
                os.killpg(os.tcgetpgrp(self.files[OUTPUT]), signal.SIGWINCH)

    def send_break(self) -> None:
        """RFC 4335."""
        if self.has_terminal:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsendbreak(self.files[OUTPUT], 0)

    def send_signal(self, name: str) -> None:
        """A signal of the client's, a name without SIG, for the program's group."""
        if name in SIGNALS and not self._is_forced:
            self._kill(signal.Signals[f"SIG{name}"])

    def _kill(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._child, number)

    # ------------------------------------------------------------ the end

    def take_exit(self) -> None:
        """Look how it ended, once `ended` says so."""
        result = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOWAIT)
        assert result is not None
        if result.si_code == os.CLD_EXITED:
            self.exit = Exited(result.si_status)
        else:
            self.exit = Killed(_name_of(result.si_status), result.si_code == os.CLD_DUMPED)

    def hang_up(self) -> None:
        """Closing a terminal's master sends SIGHUP to its foreground; the group gets it anyway.
        Pipes are read a little longer, since SIGPIPE would spare the program its last actions."""
        self._kill(signal.SIGHUP)
        self._kill(signal.SIGCONT)  # a stopped process would never see it
        if self.has_terminal:
            os.close(self.files[OUTPUT])
            self.open_outputs.clear()
        elif INPUT in self.files:
            os.close(self.files[INPUT])
        if self.exit is None:
            self._wait(time.monotonic() + HANG_UP_PATIENCE)

    def _wait(self, deadline: float) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.ended, selectors.EVENT_READ)
            for stream in self.open_outputs:
                waiting.register(self.files[stream], selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    if key.fd == self.ended:
                        return
                    if not os.read(key.fd, READ_SIZE):
                        waiting.unregister(key.fd)

    def reap(self) -> None:
        """Nobody needs its number any more."""
        with contextlib.suppress(OSError):
            os.waitpid(self._child, os.WNOHANG)


def _name_of(number: int) -> str:
    """A signal's name for the client, without SIG; real-time signals have none."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return NAMELESS


def start_program(plan: SessionPlan, terminal: Terminal | None) -> Program:
    """Start it, in a process that is the user's already. Raises OSError."""
    ours, childs = _terminal_files(terminal) if terminal else _pipe_files()
    child = os.fork()
    if child == 0:
        run_child(plan, childs)
    for descriptor in {childs.stdin, childs.stdout, childs.stderr}:
        os.close(descriptor)
    for descriptor in ours.values():
        os.set_blocking(descriptor, False)
    return Program(child, ours, plan)


def _terminal_files(terminal: Terminal) -> tuple[dict[int, int], ChildFiles]:
    slave = terminal.slave
    ours = {INPUT: terminal.master, OUTPUT: terminal.master}
    return ours, ChildFiles(slave, slave, slave, terminal=True)


def _pipe_files() -> tuple[dict[int, int], ChildFiles]:
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    from_stderr, stderr = os.pipe()
    for descriptor in (to_stdin, from_stdout):
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    ours = {INPUT: to_stdin, OUTPUT: from_stdout, ERRORS: from_stderr}
    return ours, ChildFiles(stdin, stdout, stderr, terminal=False)
