"""Signing through a private ssh-agent, where that fails. Where it works: tests/interop."""

import shutil

import pytest

from qsh.auth.blobs import string
from qsh.auth.private_key import security_key
from qsh.errors import IdentityError
from tests.key_making import SecurityKey

KEY = SecurityKey()
DEVICE = b"\1" + string(b"handle") + string(b"")


def sign():
    key = security_key(KEY.algorithm, list(KEY.public.parts), DEVICE)
    assert key.public == KEY.public
    return key.sign(b"data")


def test_without_an_agent_program_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(IdentityError, match="need OpenSSH's ssh-agent"):
        sign()


@pytest.mark.parametrize(
    ("script", "said"), [("exit 1", "private ssh-agent"), ("kill -9 $$", "private ssh-agent")]
)
def test_an_agent_that_does_not_come_up_is_an_identity_error(monkeypatch, tmp_path, script, said):
    program = tmp_path / "ssh-agent"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(IdentityError, match=said):
        sign()


@pytest.mark.skipif(not shutil.which("ssh-agent"), reason="OpenSSH's client is not installed")
def test_a_provider_that_is_not_there_is_an_identity_error(monkeypatch):
    monkeypatch.setenv("SSH_SK_PROVIDER", "/nonexistent.so")
    with pytest.raises(IdentityError, match="agent refused"):
        sign()
