"""The worker's filter, in processes that really have it."""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qsh.net import offload
from qsh.server import sandbox
from qsh.server.bpf import INSTRUCTION_SIZE
from qsh.server.seccomp import ARCHITECTURES, worker_filter

pytestmark = pytest.mark.skipif(worker_filter() is None, reason="unknown machine")


def confined(action: Callable[[], object]) -> int:
    """What `action` comes to behind the filter: 0, or the error number it raises."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            sandbox.forbid_privileges()
            sandbox._filter_system_calls()
            action()
            status = 0
        except OSError as error:
            status = error.errno or 254
        except (RuntimeError, ValueError):  # how Python says it of threads and limits
            status = errno.EPERM
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def unconnect(sock: socket.socket) -> None:
    """What would let a worker take everybody's packets: connect(2) to AF_UNSPEC."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H14x", socket.AF_UNSPEC)
    if libc.connect(sock.fileno(), address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def trace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@pytest.fixture
def udp():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        peer.bind(("127.0.0.1", 0))
        sock.bind(("127.0.0.1", 0))
        sock.connect(peer.getsockname())
        yield sock


FORBIDDEN = {
    "make a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "open a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "list a folder": lambda: os.listdir("/"),
    "look at a file": lambda: os.stat("/etc/passwd"),  # noqa: PTH116
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "start a thread": lambda: threading.Thread(target=lambda: None).start(),
    "signal others": lambda: os.kill(os.getppid(), 0),
    "trace others": trace,
    "change its user": lambda: os.setuid(os.getuid()),
    "write to a terminal as if typed": lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"),
    "change its limits": lambda: __import__("resource").setrlimit(7, (1, 1)),
}


@pytest.mark.parametrize("action", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_what_a_worker_may_not(action) -> None:
    assert confined(action) == errno.EPERM


def test_a_passed_socket_cannot_be_unconnected_bound_or_made_to_listen(udp) -> None:
    assert confined(lambda: unconnect(udp)) == errno.EPERM
    assert confined(lambda: udp.connect(("127.0.0.1", 9))) == errno.EPERM
    assert confined(lambda: udp.bind(("127.0.0.1", 0))) == errno.EPERM
    with socket.socket() as tcp:
        assert confined(tcp.listen) == errno.EPERM


def test_a_passed_socket_takes_no_program_and_no_other_options(udp) -> None:
    """SO_ATTACH_REUSEPORT_CBPF would choose who on the port gets which packet."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
    described = struct.pack("@HP", 1, ctypes.addressof(program))
    for option in (26, 50, 51, 52):  # SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF and _EBPF
        assert confined(lambda option=option: udp.setsockopt(1, option, described)) == errno.EPERM
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BINDTODEVICE):
        assert confined(lambda option=option: udp.setsockopt(1, option, 1)) == errno.EPERM
    udp.setsockopt(1, 26, described)  # what the filter forbids would else have been done


def test_nobody_is_signalled_by_way_of_a_socket() -> None:
    """F_SETOWN, F_SETSIG, and then a byte: a SIGKILL for another worker."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for command in (fcntl.F_SETOWN, 10, 15):  # F_SETSIG, F_SETOWN_EX
            assert confined(
                lambda command=command: fcntl.fcntl(ours, command, os.getppid())
            ) == errno.EPERM  # fmt: skip
        fcntl.fcntl(ours, fcntl.F_SETOWN, os.getpid())


def test_what_a_worker_needs(udp) -> None:
    def work() -> None:
        assert offload.prepare(udp).gro
        fcntl.fcntl(udp, fcntl.F_SETFL, fcntl.fcntl(udp, fcntl.F_GETFL) | os.O_NONBLOCK)
        udp.send(b"x")
        udp.setblocking(False)
        os.fstat(udp.fileno())
        ours, theirs = socket.socketpair()
        theirs.sendall(b"y")
        assert ours.recv(1) == b"y"
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.urandom(16)

    assert confined(work) == 0


def test_the_kernel_says_so() -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        sandbox.forbid_privileges()
        sandbox._filter_system_calls()
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    facts = Path(f"/proc/{child}/status").read_text()
    for descriptor in (*ready, *go):
        os.close(descriptor)
    os.waitpid(child, 0)
    assert "Seccomp:\t2" in facts
    assert "NoNewPrivs:\t1" in facts


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_program_is_well_formed(machine: str) -> None:
    program = worker_filter(machine)
    assert program is not None
    count = len(program) // INSTRUCTION_SIZE
    assert count * INSTRUCTION_SIZE == len(program)
    for at in range(count):
        code, if_true, if_false, _ = struct.unpack_from("=HBBI", program, at * INSTRUCTION_SIZE)
        if code & 7 == 5:  # a jump
            assert at + 1 + max(if_true, if_false) < count


def test_an_unknown_machine_has_no_filter() -> None:
    assert worker_filter("pdp11") is None
