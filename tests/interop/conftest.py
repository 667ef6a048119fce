"""OpenSSH's own programs, as fixtures. Where they are not installed the tests say so."""

import os
import shutil
import subprocess

import pytest

PASSPHRASE = b"correct horse"


def pytest_collection_modifyitems(items):
    if shutil.which("ssh-keygen") is None:
        for item in items:
            if "/interop/" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="OpenSSH's client is not installed"))


def mostly_slow(values, quick):
    """Parameters of which the first few run always, all with `--full`."""
    return [*values[:quick], *(pytest.param(v, marks=pytest.mark.slow) for v in values[quick:])]


def run(*command, **more):
    """Run a program of OpenSSH in the C locale; its stdout. Fails the test if it fails."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"} | more.pop("env", {})
    more = {"stdin": subprocess.DEVNULL} | more if "input" not in more else more
    done = subprocess.run(
        command, capture_output=True, timeout=60, env=environment, check=False, **more
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.fixture
def keygen(tmp_path):
    """keygen(name, type, ...) makes a key and gives its path."""

    def make(name, *kind, passphrase=b"", **more):
        path = str(tmp_path / name)
        options = ("-N", passphrase, "-C", "a comment", "-f", path)
        run("ssh-keygen", "-q", "-t", *kind, *options, **more)
        return path

    return make


@pytest.fixture
def agent_path(tmp_path):
    """The socket of a real ssh-agent, whose every confirmation is refused."""
    path = str(tmp_path / "agent")
    environment = {**os.environ, "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-P", f"{tmp_path}/*", "-a", path],
        env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )
    process.stdout.readline()  # it prints its environment once it listens
    yield path
    process.terminate()
    process.wait()
    process.stdout.close()
