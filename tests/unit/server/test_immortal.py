"""What is loaded before a fork costs the children nothing, where Python has immortal objects."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qsh.server.immortal import can_be_immortal
from tests.sources import ROOT

USE = """
import os, sys
from qsh.server.immortal import LEAST, can_be_immortal, make_immortal

def dirty():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))

def held(many):
    return [one for pair in many for one in pair]

objects = [([number], "text %d" % number) for number in range(100_000)]
if sys.argv[1:] == ["immortal"]:
    make_immortal()
    assert sys.getrefcount(objects[7][1]) >= LEAST
    assert sys.getrefcount(held.__code__.co_consts) >= LEAST
    del objects[9]  # lives on; the list is the list
    assert len(objects) == 99_999
read, write = os.pipe()
if os.fork() == 0:
    before = dirty()
    mine = held(objects)
    os.write(write, b"%d" % (dirty() - before))
    os._exit(0)
print(os.read(read, 100).decode())
"""


def interpreters():
    """This Python, and newer ones that are installed here, pyenv's as well."""
    names = [shutil.which(f"python3.{minor}") for minor in range(12, 16)]
    names += map(str, Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python3"))
    works = [name for name in names if name and not subprocess.call(
        [name, "-V"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]  # fmt: skip
    return [sys.executable, *works]


@pytest.mark.parametrize("python", interpreters())
def test_what_was_there_before_a_fork_is_used_without_a_copy(python):
    test = "from qsh.server.immortal import can_be_immortal as c; print(int(c()))"
    if not int(run(python, test)):
        pytest.skip("this Python has no immortal objects")
    counted, immortal = (int(run(python, USE, *way)) for way in ((), ("immortal",)))
    assert immortal < counted - 4000
    assert immortal < 4000  # the list of the child's own is 1.6 MB


def test_elsewhere_nothing_happens():
    """Objects whose counts would run on must not be touched."""
    program = ("import sys; from qsh.server.immortal import make_immortal; one = ['one']\n"
               "make_immortal(); print(sys.getrefcount(one))")  # fmt: skip
    assert can_be_immortal() or int(run(sys.executable, program)) == 2


def run(python, program, *arguments):
    return subprocess.run(
        [python, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    ).stdout  # fmt: skip
