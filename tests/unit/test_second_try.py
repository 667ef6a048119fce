"""What failed in a run of tests is run once more: with a real pytest in a folder of its own."""

import subprocess
import sys

import pytest

from tests.second_try import FEW, run_twice

LEAN = [word for name in ("hypothesispytest", "xdist", "cov", "timeout")
        for word in ("-p", f"no:{name}")]  # fmt: skip
SHY = """
from pathlib import Path

def test_shy():
    seen = Path("seen")
    was_there = seen.exists()
    seen.touch()
    assert was_there
"""


@pytest.fixture
def tests(tmp_path):
    """Write tests, run them twice: whether they passed, and how often pytest was started."""

    def run(source, seconds=60.0):
        (tmp_path / "test_it.py").write_text(source)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        starts = []

        def start(arguments):
            starts.append(arguments)
            command = [sys.executable, "-m", "pytest", "-q", *LEAN, *arguments]
            return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode

        return run_twice(start, tmp_path, ["-v"], ["--maxfail=30"], seconds), starts

    return run


def test_who_passes_alone_has_passed_and_is_named(tests, capsys):
    passed, starts = tests(SHY + "\ndef test_bold():\n    pass\n")
    assert passed
    assert starts == [["--cache-clear", "-v", "--maxfail=30"], ["--last-failed", "--maxfail=30"]]
    assert "test_it.py::test_shy" in capsys.readouterr().out


def test_who_fails_twice_has_failed(tests):
    passed, starts = tests(SHY + "\ndef test_wrong():\n    assert False\n")
    assert not passed
    assert len(starts) == 2


def test_many_have_no_second_try(tests):
    passed, starts = tests("\n".join(
        SHY.replace("test_shy", f"test_{n}").replace('"seen"', f'"seen{n}"')
        for n in range(FEW + 1)))  # fmt: skip
    assert not passed
    assert len(starts) == 1


@pytest.mark.parametrize("source", ["import nonesuch\n", "def broken(:\n"])
def test_what_does_not_run_has_no_second_try(tests, source):
    passed, starts = tests(source)
    assert not passed
    assert len(starts) == 1


def test_a_run_that_may_have_been_broken_off_has_none(tests):
    passed, starts = tests(SHY, seconds=0.0)
    assert not passed
    assert len(starts) == 1
