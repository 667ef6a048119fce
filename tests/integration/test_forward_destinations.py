"""Keys for certain destinations (`ssh-add -h`) with the real ssh-agent: the login itself, and the
way further on over a forwarded agent."""

import os
import shlex
import subprocess

import pytest

from tests.integration.harness import make_key, public

pytestmark = pytest.mark.one_pair


@pytest.fixture
def first(own_daemon):
    return own_daemon()


@pytest.fixture
def second(own_daemon):
    return own_daemon("LogLevel ERROR")


@pytest.fixture
def hold(ssh_agent, tmp_path, first, second):
    """Let the agent hold a new key for these destinations only; its public half."""
    known = tmp_path / "hosts"
    hosts = {"first": first, "second": second}
    known.write_text("".join(f"{name} {public(at.host_key)}\n" for name, at in hosts.items()))

    def add(*constraints):
        key = make_key(tmp_path / f"key{len(list(tmp_path.glob('key*')))}")
        options = [word for constraint in constraints for word in ("-h", constraint)]
        environment = os.environ | {"SSH_AUTH_SOCK": str(ssh_agent)}
        added = subprocess.run(["ssh-add", "-q", *options, "-H", known, key], env=environment)
        if added.returncode:
            pytest.skip("this ssh-add has no destination constraints")
        key.unlink()
        return public(key)

    return add


@pytest.fixture
def client(new_client, ssh_agent):
    """A client of a daemon with nothing but the agent."""

    def make(daemon, name, *lines):
        qsh = new_client(daemon, name)
        qsh.configure("IdentityFile none", "IdentitiesOnly no", *lines)
        qsh.environment["SSH_AUTH_SOCK"] = str(ssh_agent)
        return qsh

    return make


def test_it_logs_in_where_it_may(client, hold, first):
    line, qsh = hold("first"), client(first, "near")
    first.authorize(line)
    done = qsh("host", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", "")


def test_and_nowhere_else(client, hold, first, second):
    line, qsh = hold("second"), client(first, "near")
    first.authorize(line)
    done = qsh("-o", "BatchMode=yes", "host", "echo in")
    assert (done.status, done.stdout) == (255, b"")
    assert "permission denied" in done.stderr


def test_as_the_user_it_is_meant_for(client, hold, first):
    line, qsh = hold("nobody-else@first"), client(first, "near")
    first.authorize(line)
    assert qsh("-o", "BatchMode=yes", "host", "echo in").status == 255


@pytest.mark.parametrize(
    ("constraints", "works"),
    [(("first", "first>second"), True), (("first", "second"), False), (("first",), False)],
)
def test_further_on_only_by_the_way_it_was_meant_for(
    client, hold, first, second, constraints, works
):
    line, near = hold(*constraints), client(first, "near")
    first.authorize(line)
    inner = client(second, "far", "BatchMode yes")
    second.authorize(line)
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in inner.environment.items()
                        if name != "SSH_AUTH_SOCK")  # fmt: skip
    command = f"env {settings} {shlex.join(inner.command('host', 'echo further'))}"
    done = near("-A", "host", command)
    assert (done.stdout == b"further\n") is works, done.stderr
    assert ("permission denied" in done.stderr) is not works


def test_without_forwarding_there_is_nothing_to_use(client, hold, first):
    line, near = hold("first"), client(first, "near")
    first.authorize(line)
    assert near("host", "ssh-add -l; echo $?").stdout.endswith(b"2\n")
