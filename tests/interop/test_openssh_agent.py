"""A real ssh-agent: list, sign with every type, lifetimes, refusals, certificates."""

import time

import pytest

from qsh.auth.agent import Agent
from qsh.auth.keys import PublicKey, public_of
from qsh.auth.signing import sign_userauth, verify_userauth
from qsh.errors import IdentityError
from tests.interop.conftest import PASSPHRASE, run
from tests.interop.test_openssh_keys import TYPES


def add(agent_path, *arguments):
    run("ssh-add", "-q", *arguments, env={"SSH_AUTH_SOCK": agent_path})


def test_an_empty_agent(agent_path):
    with Agent(agent_path) as agent:
        assert agent.identities() == []


@pytest.mark.parametrize("kind", TYPES, ids=" ".join)
def test_every_type_signs(agent_path, keygen, kind):
    path = keygen("id", *kind)
    add(agent_path, path)
    public = public_of(path)
    with Agent(agent_path) as agent:
        assert agent.identities() == [(public, "a comment")]
        for name in public.signature_algorithms:
            signature = agent.sign(public, b"data", name)
            assert public.verify(b"data", signature, (name,))
        assert public.verify(b"data", agent.sign(public, b"data"))


def test_keys_come_in_the_agents_order(agent_path, keygen):
    paths = [keygen(f"id{n}", "ed25519") for n in range(3)]
    add(agent_path, *paths)
    with Agent(agent_path) as agent:
        assert [key for key, _ in agent.identities()] == [public_of(path) for path in paths]


def test_a_login_is_signed(agent_path, keygen):
    path = keygen("id", "rsa", "-b", "2048")
    add(agent_path, path)
    public = public_of(path)
    with Agent(agent_path) as agent:
        def sign(data, name):
            return agent.sign(public, data, name)

        signature = sign_userauth(sign, public, b"s" * 64, "alice", "rsa-sha2-256", b"host")
    assert verify_userauth(
        public, b"s" * 64, "alice", "rsa-sha2-256", signature, host_key_blob=b"host"
    )


def test_certificates_are_listed_and_sign(agent_path, keygen):
    path, authority = keygen("id", "ed25519"), keygen("ca", "ed25519")
    run("ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "alice", path)
    add(agent_path, path)
    certificate = PublicKey.from_file(path + "-cert.pub")
    with Agent(agent_path) as agent:
        assert {key for key, _ in agent.identities()} == {certificate, certificate.plain}
        assert certificate.verify(b"data", agent.sign(certificate, b"data"))


def test_a_key_lives_as_long_as_it_was_told(agent_path, keygen):
    path = keygen("id", "ed25519")
    add(agent_path, "-t", "1", path)
    with Agent(agent_path) as agent:
        assert len(agent.identities()) == 1
        deadline = time.monotonic() + 10
        while agent.identities() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert agent.identities() == []
        with pytest.raises(IdentityError, match="refused to sign"):
            agent.sign(public_of(path), b"data")


def test_a_refused_confirmation_is_an_identity_error(agent_path, keygen):
    path = keygen("id", "ed25519")
    add(agent_path, "-c", path)
    with Agent(agent_path) as agent:
        with pytest.raises(IdentityError, match="refused to sign"):
            agent.sign(public_of(path), b"data")
        assert len(agent.identities()) == 1


def test_a_key_that_the_agent_has_not_is_refused(agent_path, keygen):
    with Agent(agent_path) as agent, pytest.raises(IdentityError, match="refused to sign"):
        agent.sign(public_of(keygen("id", "ed25519")), b"data")


def test_a_removed_key_is_gone(agent_path, keygen):
    add(agent_path, keygen("id", "ed25519"))
    add(agent_path, "-D")
    with Agent(agent_path) as agent:
        assert agent.identities() == []


def test_an_agent_that_goes_away_is_an_identity_error(keygen, tmp_path):
    import subprocess

    path = str(tmp_path / "short-lived")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    process.stdout.readline()
    with Agent(path) as agent:
        assert agent.identities() == []
        process.terminate()
        process.wait()
        process.stdout.close()
        with pytest.raises(IdentityError, match="agent"):
            agent.identities()


def test_a_passphrase_is_not_needed_by_way_of_the_agent(agent_path, keygen, tmp_path):
    path = keygen("id", "ed25519", passphrase=PASSPHRASE)
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho '{PASSPHRASE.decode()}'\n")
    askpass.chmod(0o700)
    environment = {
        "SSH_AUTH_SOCK": agent_path, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force",
    }
    run("ssh-add", "-q", path, env=environment)
    public = public_of(path)
    with Agent(agent_path) as agent:
        assert public.verify(b"data", agent.sign(public, b"data"))
