"""What a process of qshd can do once a stranger runs code in it: nothing to anybody else.

The code runs in the living process (injection.py), with everything that the process has.
"""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.forward_peers import free_port, wait_for_port
from tests.integration.injection import is_possible, run_inside
from tests.integration.raw_client import connected, named, wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_possible, reason="registers of another processor"),
]

READING = """
import ctypes, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def read(path):
    with open(path, "rb") as file:
        return file.read(16)
def peek(pid):
    space, there = ctypes.create_string_buffer(16), ctypes.c_void_p(START)
    vector = struct.pack("=QQ", ctypes.addressof(space), 16)
    far = struct.pack("=QQ", START, 16)
    call(libc.process_vm_readv, pid, vector, 1, far, 1, 0)
attempt("read the host key", lambda: read(HOST_KEY))
attempt("read the passwords", lambda: read("/etc/shadow"))
attempt("read another's file", lambda: read(SECRET))
attempt("climb out", lambda: read("../../../../.." + HOST_KEY))
for other in OTHERS:
    attempt(f"open the memory of {other}", lambda: read(f"/proc/{other}/mem"))
    attempt(f"read the memory of {other}", lambda: peek(other))
    attempt(f"trace {other}", lambda: call(libc.ptrace, 16, other, 0, 0))
attempt("take a descriptor of another", lambda: call(libc.syscall, 438, 0, 0, 0))
attempt("be root", lambda: os.setuid(0))
attempt("be anybody", lambda: os.setresuid(1000, 1000, 1000))
attempt("have root's powers", lambda: call(
    libc.capset, struct.pack("=II", 0x20080522, 0), struct.pack("=IIIIII", 255, 255, 0, 0, 0, 0)))
attempt("mount", lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None))
for other in FOREIGN:
    attempt(f"signal {other}", lambda: os.kill(other, 0))
"""
"""For every process."""
ACTING = """
attempt("make a socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("make a Unix socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
attempt("look at files", lambda: os.listdir("/"))
attempt("make a file", lambda: os.open("x", os.O_CREAT | os.O_WRONLY))
attempt("start a program", lambda: os.execv("/bin/true", ["true"]))
attempt("fork", os.fork)
for other in OTHERS:
    attempt(f"signal {other}", lambda: os.kill(other, 0))
def sockets():
    for number in range(64):
        try:
            yield socket.socket(fileno=os.dup(number))
        except OSError:
            pass
nowhere = struct.pack("=H14x", socket.AF_UNSPEC)
for one in sockets():
    if one.family in (socket.AF_INET, socket.AF_INET6):
        attempt("un-connect a socket", lambda: call(libc.connect, one.fileno(), nowhere, 16))
        attempt("connect it anew", lambda: one.connect(("127.0.0.1", 9)))
        attempt("bind it", lambda: one.bind(("127.0.0.1", 0)))
    one.detach()
"""
"""For those that need do nothing but compute and speak."""


def attack(daemon, pid, secret, code):
    """What came of each attempt, made in the process `pid`."""
    others = [n for n in named(daemon, "qshd-worker") if n != pid]
    foreign = [daemon.process.pid, *named(daemon, "qshd-monitor"), *named(daemon, "qshd-keys")]
    maps = Path(f"/proc/{others[0]}/maps").read_text().splitlines()
    start = next(int(line.split("-")[0], 16) for line in maps if "[heap]" in line)
    facts = {"HOST_KEY": str(daemon.host_key), "SECRET": str(secret), "START": start,
             "OTHERS": others + foreign, "FOREIGN": foreign}  # fmt: skip
    return run_inside(pid, "".join(f"{k} = {v!r}\n" for k, v in facts.items()) + code)


def check(told, least):
    done = {name: what for name, what in told.items() if not what.startswith(
        ("PermissionError", "OSError", "FileNotFoundError", "ProcessLookupError"))}  # fmt: skip
    assert done == {}
    assert len(told) >= least


@pytest.fixture
def besieged(own_daemon, new_client, tmp_path):
    """besieged(name, code): attack that process of a daemon with two connections, which go on."""
    secret = tmp_path / "secret"
    secret.write_text("another's")
    secret.chmod(0o600)

    def run(name, code):
        tcp = free_port()
        daemon = own_daemon(f"TcpPort {tcp}")
        wait_for_port(tcp)
        key = new_client(daemon).key

        async def scenario():
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(connected(daemon, key)) for _ in "ab"]
                assert wait_until(lambda: len(named(daemon, "qshd-worker")) == 2)
                pid = named(daemon, name)[0]
                told = await asyncio.to_thread(attack, daemon, pid, secret, code)
                return told, [await client.run(b"echo fine") for client in clients]

        told, answers = asyncio.run(scenario())
        assert answers == [(b"fine\n", b"", 0)] * 2
        assert named(daemon, "qshd-zygote")
        return told

    return run


def test_a_worker(besieged):
    told = besieged("qshd-worker", READING + ACTING)
    check(told, 35)
    assert told["un-connect a socket"].startswith("PermissionError")
    assert told["read the host key"].startswith("PermissionError")


@pytest.mark.one_pair
def test_the_relay_of_tcp_port(besieged):
    told = besieged("qshd-relay", READING + ACTING)
    check(told, 35)


@pytest.mark.one_pair
def test_the_zygote(besieged):
    """It may fork, open sockets and read what everybody may."""
    told = besieged("qshd-zygote", READING)
    check(told, 20)
    assert told["read the host key"].startswith("PermissionError")


@pytest.mark.one_pair
def test_the_attempts_are_real(tmp_path):
    """The same code in a process of root's succeeds: the failures above are the walls'."""
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        code = "HOST_KEY = SECRET = '/etc/passwd'\nSTART = 0\nOTHERS = []\nFOREIGN = [1]\n"
        told = run_inside(child, code + READING)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    for name in ("read the host key", "read another's file", "be root", "be anybody"):
        assert told[name].startswith("did it"), told[name]
