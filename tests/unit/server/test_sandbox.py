"""What a process is after each step, as the kernel tells it; every step in a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qsh.server import sandbox
from qsh.server.accounts.accounts import Account, own_account

NOBODY = Account("nobody", 65534, 65534, (65534,), ("nogroup",), "/", "/bin/sh")


def in_child(function):
    """What `function` returns, as text, in a fork."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(function()).encode())
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def status_line(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":")[1].split() for line in lines if line.startswith(f"{name}:"))


def test_close_all_but():
    ours, other = socket.socketpair()

    def descriptors():
        sandbox.close_all_but({0, 1, 2, ours.fileno(), *writers})
        return sorted(set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, *writers})[:1]

    writers = {fd for fd in range(3, 64) if fd not in (ours.fileno(), other.fileno())}
    assert in_child(descriptors) == f"[{ours.fileno()}]"
    ours.close()
    other.close()


def test_hidden_memory():
    def dumpable():
        sandbox.hide_memory()
        return sandbox._libc.prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE

    assert in_child(dumpable) == "0"


def test_no_new_privileges():
    def flag():
        sandbox.forbid_privileges()
        return status_line("NoNewPrivs")

    assert in_child(flag) == "['1']"


@contextlib.contextmanager
def caged(empty):
    """The folder in /proc of a process in the worker's cage, which can no longer tell itself."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        sandbox.leave_root(empty)
        sandbox.enter_worker_cage(empty)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.close(ready[1])
    try:
        assert os.read(ready[0], 1) == b"x"
        yield Path(f"/proc/{child}")
    finally:
        for descriptor in (ready[0], *go):
            os.close(descriptor)
        os.waitpid(child, 0)


@pytest.mark.root
def test_cage_of_root(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    tmp_path.chmod(0o700)  # as /run/qsh is
    uid, gid = sandbox.worker_ids()
    with caged(str(empty)) as process:
        status = process.joinpath("status").read_text()
        limits = process.joinpath("limits").read_text()
        assert [path.name for path in (process / "root").iterdir()] == []
        assert {str((process / "fd" / str(n)).readlink()) for n in range(3)} == {"/dev/null"}
    for line, number in (("Uid:", uid), ("Gid:", gid)):
        assert "\t".join((line, *4 * [str(number)])) in status
    for line in (f"Groups:\t{gid} ", "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t" + "0" * 16):
        assert line in status
    assert re.search(r"Max processes +0 +0", limits)
    assert re.search(rf"Max data size +{sandbox.WORKER_MEMORY} +{sandbox.WORKER_MEMORY}", limits)


def test_cage_without_root():
    """What needs no root holds for everybody; a process that is not dumpable hides the rest."""
    with caged(None) as process:
        status = process.joinpath("status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


@pytest.mark.root
def test_root_does_not_come_back():
    def after():
        sandbox.become_user(NOBODY)
        try:
            os.setuid(0)
        except PermissionError:
            return os.getresuid(), os.getgroups(), status_line("CapEff"), status_line("CapPrm")
        return "root again"

    zero = ["0" * 16]
    assert in_child(after) == f"((65534, 65534, 65534), [65534], {zero}, {zero})"


@pytest.mark.root
def test_who_leaves_root_keeps_one_power_and_no_way_back():
    uid, gid = sandbox.worker_ids()

    def after():
        sandbox.leave_root(None)
        try:
            os.setuid(0)
        except PermissionError:
            return (os.getresuid(), os.getgroups(), status_line("CapEff"), status_line("CapPrm"),
                    status_line("NoNewPrivs"), sandbox._libc.prctl(3, 0, 0, 0, 0))  # fmt: skip
        return "root again"

    one = [f"{1 << sandbox.CAP_SYS_CHROOT:016x}"]
    assert in_child(after) == f"({(uid,) * 3}, {[gid]}, {one}, {one}, ['1'], 0)"


@pytest.mark.root
def test_as_user_ends_the_process_if_it_cannot_be_the_user():
    """A group that is none: the groups have changed by then, and nothing may go on with them."""
    code = (
        "import dataclasses\n"
        "from qsh.server import sandbox\n"
        "from qsh.server.accounts.accounts import own_account\n"
        "wrong = dataclasses.replace(own_account(), gid=-1 & 0xFFFFFFFF)\n"
        "with sandbox.as_user(wrong): print('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (255, ""), done.stderr
    assert "for a moment" in done.stderr


@pytest.mark.root
def test_as_user_reads_with_the_users_rights(tmp_path):
    secret = tmp_path / "secret"
    secret.touch(0o600)

    def try_to_read():
        with sandbox.as_user(NOBODY):
            try:
                secret.read_text()
            except PermissionError:
                seen = os.geteuid(), os.getegid(), os.getgroups()
        return seen, os.geteuid(), secret.read_text()

    assert in_child(try_to_read) == "((65534, 65534, [65534]), 0, '')"


@pytest.mark.plain
def test_without_root_nothing_changes():
    def after():
        with sandbox.as_user(own_account()):
            inside = os.getresuid()
        sandbox.become_user(own_account())
        return inside == os.getresuid()

    assert in_child(after) == "True"


@pytest.mark.root
@pytest.mark.parametrize(
    ("step", "complaint"),
    [("leave_root('/no/such/folder')", "cannot leave all rights"),
     ("enter_worker_cage('/etc')", "cannot enter the worker's sandbox")],  # not empty: elsewhere
)  # fmt: skip
def test_a_step_that_fails_ends_the_process(step, complaint):
    code = f"from qsh.server import sandbox\nsandbox.{step}\nprint('went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 255
    assert done.stdout == ""
    assert complaint in done.stderr


def test_worker_ids_are_somebody_without_rights():
    uid, gid = sandbox.worker_ids()
    assert uid != 0
    assert gid != 0
