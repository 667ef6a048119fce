"""`-f`: who returns what, and what the process in the background still holds."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.sources import ROOT

PROGRAM = """
import os, sys, time
from qsh.client.background import run_in_background

def work(detach):
    {work}

sys.exit(run_in_background(work, keeps_output={keeps_output}))
"""


def start(work, *, keeps_output=True):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work, keeps_output=keeps_output)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def test_the_parent_ends_when_the_child_has_detached():
    work = "detach(); time.sleep(1); print(os.getsid(0) == os.getpid(), flush=True); return 7"
    with start(work) as process:
        before = time.monotonic()
        assert process.wait(20) == 0
        assert process.stdout.read() == b"True\n"
        assert time.monotonic() - before > 0.9


def test_a_pipes_reader_is_not_kept_waiting_where_no_output_comes():
    with start("detach(); time.sleep(2); return 7", keeps_output=False) as process:
        before = time.monotonic()
        assert process.communicate(timeout=20) == (b"", b"")
        assert time.monotonic() - before < 2


@pytest.mark.parametrize("status", [0, 255])
def test_an_end_before_that_is_the_parents_too(status):
    with start(f"return {status}") as process:
        assert process.wait(20) == status


def test_so_is_a_death_by_signal():
    with start("os.kill(os.getpid(), 15)") as process:
        assert process.wait(20) == -signal.SIGTERM


def test_signals_reach_the_child():
    with start("print('here', flush=True); time.sleep(60); return 0") as process:
        assert process.stdout.readline() == b"here\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
