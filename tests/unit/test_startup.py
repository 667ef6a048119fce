"""What must not be loaded: start-up is a feature (every module costs the user milliseconds)."""

import os
import re
import resource
import subprocess
import sys

import pytest

HEAVY = {"asyncio", "asyncssh", "aioquic", "qsh_native", "cryptography", "prompt_toolkit",
         "argparse", "platformdirs", "ssl", "email", "unittest"}  # fmt: skip


def modules_loaded_by(*arguments):
    """Run Python with these arguments; (exit status, stdout, names of all imported modules)."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    names = re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.MULTILINE)
    return done.returncode, done.stdout, set(names)


def loaded_at_bare_start():
    """What site-packages' own hooks load before any program (coverage, editable installs)."""
    return modules_loaded_by("-c", "")[2]


@pytest.mark.parametrize("option", ["-V", "--version", "--help"])
def test_answers_about_itself_load_nothing_heavy(option):
    status, stdout, loaded = modules_loaded_by("-m", "qsh", option)
    tops = {name.split(".")[0] for name in loaded - loaded_at_bare_start()}
    assert status == 0
    assert stdout
    assert not tops & HEAVY


def test_a_wrong_command_line_is_told_without_loading_anything_heavy():
    status, _, loaded = modules_loaded_by("-m", "qsh", "--no-such-option")
    assert status == 255
    assert not {name.split(".")[0] for name in loaded - loaded_at_bare_start()} & HEAVY


def test_importing_the_package_costs_nothing():
    loaded = modules_loaded_by("-c", "import qsh")[2] - loaded_at_bare_start()
    assert {name for name in loaded if name.split(".")[0] == "qsh"} == {"qsh"}


MAY_TAKE = 2.0, 0.060
"""Times Python's own start, and seconds beside it: tools ask with -G and -V all the time."""
ROUNDS = 15


def cpu_time(environment, *arguments):
    """Seconds of processor time, which other programs on the machine change little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, timeout=60,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("words", [["-V"], ["-G", "host"]])
def test_a_probe_takes_little_more_than_python_itself(tmp_path, words):
    """As installed: with the code compiled, and without what measures coverage."""
    dropped = ("COV_CORE", "COVERAGE", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(dropped)}
    environment |= {"PYTHONPYCACHEPREFIX": str(tmp_path), "HOME": str(tmp_path)}
    cpu_time(environment, "-m", "qsh", *words)
    factor, seconds = MAY_TAKE
    own, probes = [], []
    for _ in range(ROUNDS):
        own.append(cpu_time(environment, "-c", "pass"))
        probes.append(cpu_time(environment, "-m", "qsh", *words))
        if min(probes) < factor * min(own) + seconds:
            return
    pytest.fail(f"{min(probes):.3f} s, Python itself {min(own):.3f} s")
