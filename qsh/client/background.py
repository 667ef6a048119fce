"""`-f`: the visit in a process of its own, which stays in the foreground until the login stands.

It is forked before there are threads or an event loop, and shares the terminal with its parent
until it detaches: questions and ^C are as usual. The parent then ends with 0; a visit that ends
before gives it its own status.
"""

import os
import signal
import sys
from collections.abc import Callable

from qsh.client.session.console import die_of

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_DETACHED = b"\n"


def run_in_background(work: Callable[[Callable[[], None]], int], *, keeps_output: bool) -> int:
    """Returns in both processes: in the child what `work` gives, in the parent 0 once the child
    has called what `work` is given. `keeps_output` leaves standard output and error to the child,
    which else go to /dev/null, so that a pipe's reader is not kept waiting."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where they were closed
        stream.flush()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return _wait_for(child, read_end)
    os.close(read_end)

    def detach() -> None:
        _leave_terminal(keeps_output)
        os.write(write_end, _DETACHED)
        os.close(write_end)

    return work(detach)


def _leave_terminal(keeps_output: bool) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0,) if keeps_output else (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _wait_for(child: int, read_end: int) -> int:
    """The parent's whole life: until the child has detached or ended."""
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: os.kill(child, received))
    has_detached = os.read(read_end, 1) == _DETACHED
    if has_detached:
        return 0
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return die_of(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)
