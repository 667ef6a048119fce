"""ControlPersist: the connection in a process of its own, which outlives the first command.

It is forked before there are threads or an event loop. Questions are asked by it while it still
shares the terminal; its first session leaves together with the login, on the user's descriptors.
The process that the user started is the first passenger: it waits on a socket of its own, as any
client of a master does, and ends with its command's status.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from qsh import log
from qsh.client.background import PASSED_ON
from qsh.client.master import mux_client
from qsh.client.master import mux_wire as wire
from qsh.client.session.console import die_of
from qsh.errors import NetworkError

_log = log.logger("mux")


class FirstPassenger:
    """In the master's process: the one who waits, and its descriptors."""

    def __init__(self, sock: socket.socket, descriptors: Sequence[int]) -> None:
        self.sock = sock
        self.descriptors = tuple(descriptors)

    def detach(self) -> None:
        """The login stands: leave the terminal, and standard files to the passenger."""
        from qsh.client.master.sharing import leave_standard_files

        os.setsid()
        leave_standard_files()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def run_persistent(work: Callable[[FirstPassenger], int], host: str, *,
                   has_session: bool, has_terminal: bool) -> int:
    """Returns in both processes: in the child what `work` gives, in the parent the status of the
    first session. Without one (-W) the parent waits for the end. Raises QshError."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        return work(FirstPassenger(theirs, [os.dup(number) for number in range(3)]))
    theirs.close()
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: os.kill(child, received))
    return _attend(mux_client.Master(ours), child, host, has_session, has_terminal)


def _attend(master: mux_client.Master, child: int, host: str,
            has_session: bool, has_terminal: bool) -> int:
    """The parent's whole life."""
    try:
        master.greet()
    except NetworkError:
        return _status_of(child)
    if not has_session:
        try:
            while True:
                master.receive()
        except NetworkError:
            return 0
    session = master.answer(wire.SESSION_OPENED).number()
    return mux_client.wait(master, child, session, host, has_terminal=has_terminal)


def _status_of(child: int) -> int:
    """Its own words have said why there is no connection."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return die_of(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)
