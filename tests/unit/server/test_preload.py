"""What is done before the forks is not done again after each of them."""

import subprocess
import sys

import pytest

from qsh.quic import engine as engines
from tests.sources import ROOT

AGAIN = """
import sys
from qsh import record
from qsh.server.preload import preload
from qsh.server.rehearsal import rehearse

def write_again(cls, *_):
    raise SystemExit(f"{cls.__name__} is written at its first use in a worker")

preload(sys.argv[1])
record._write_init = write_again
rehearse(sys.argv[1])
"""


@pytest.mark.parametrize("engine", engines.available())
def test_a_connection_finds_its_records_written(engine):
    done = subprocess.run([sys.executable, "-c", AGAIN, engine], cwd=ROOT, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
