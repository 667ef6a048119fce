"""The program's outermost ring: what it prints, what it returns."""

import os
import re
import subprocess
import sys

import pytest

from qsh import log
from qsh.client.main import main
from qsh.quic.engine import available
from tests.sources import ROOT


@pytest.fixture(autouse=True)
def quiet_again():
    yield
    log._output.level, log._output.sink = log.Level.INFO, None


@pytest.mark.parametrize("engine", available())
def test_version_names_the_engine_that_runs(capsys, monkeypatch, engine):
    monkeypatch.setenv("QSH_ENGINE", engine)
    assert main(["-V"]) == 0
    assert re.match(rf"qsh [0-9.]+, {engine} engine, Python 3\.", capsys.readouterr().out)


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "usage: qsh" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no host given"),
        (["--frobnicate"], "unknown option --frobnicate"),
        (["-F", "none", "-o", "Nonsense=yes", "h"], "onsense"),
        (["-F", "none", "-N", "h", "command"], "-N runs no command"),
        (["-F", "none", "-f", "h"], "-f needs a command"),
        (["-Q", "nonsense"], "-Q nonsense"),
        (["-F", "/nonexistent/config", "h"], "/nonexistent/config"),
        (["-E", "/nonexistent/log", "h"], "/nonexistent/log"),
        (["-F", "none", "-p", "1", "nosuchhost.invalid"], "nosuchhost.invalid"),
    ],
)
def test_errors_are_a_line_and_255(words, said, capfd):
    assert main(words) == 255
    shown = capfd.readouterr().err
    assert said in shown
    assert all(line.startswith("qsh: ") for line in shown.splitlines())
    assert "Traceback" not in shown


def test_the_log_may_go_to_a_file(tmp_path, capfd):
    assert main(["-F", "none", "-v", "-E", str(tmp_path / "log"), "nosuchhost.invalid"]) == 255
    assert capfd.readouterr().err == ""
    assert "nosuchhost.invalid" in (tmp_path / "log").read_text()


def test_an_error_of_our_own_is_a_line_too(capfd, monkeypatch):
    from qsh.client import run

    def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(run, "run", broken)
    assert main(["-F", "none", "h"]) == 255
    assert capfd.readouterr().err == "qsh: internal error: ZeroDivisionError: oops\n"
    assert main(["-F", "none", "-vvv", "h"]) == 255
    assert "debug3: client: ZeroDivisionError: oops" in capfd.readouterr().err


def test_closed_descriptors_are_occupied():
    code = ("import os; from qsh.client.main import occupy_standard_descriptors as occupy; "
            "[os.close(n) for n in (0, 2)]; occupy(); os.fstat(2); r, w = os.pipe(); print(r > 2)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout == "True\n"


def test_lists_and_settings_are_printed(capsys):
    assert main(["-Q", "kex"]) == 0
    assert "curve25519-sha256" in capsys.readouterr().out.splitlines()
    assert main(["-F", "none", "-G", "u@h"]) == 0
    assert "user u" in capsys.readouterr().out.splitlines()
