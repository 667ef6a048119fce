"""KnownHostsCommand: how the program is asked, and what happens if it cannot be."""

import asyncio

import pytest

from qsh.client.host.known_hosts_command import known_by_command
from qsh.config.client_settings import ClientSettings
from qsh.errors import HostKeyError
from tests.key_making import ED25519

KEY = ED25519.public


@pytest.fixture
def program(tmp_path):
    """Write a program: its path, in quotes."""

    def write(text):
        path = tmp_path / "known by"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return f'"{path}"'

    return write


def asked(command):
    settings = ClientSettings("h", "example.org", "u", 2222, known_hosts_command=command)
    return asyncio.run(known_by_command(settings, KEY, "[example.org]:2222", "HOSTNAME"))


def test_tokens_reach_the_program_as_words(program):
    command = program('printf "%s\\n" "$@"') + " %I %H %t %f %K %h %p %% 'two words' $HOME"
    assert asked(command).decode().splitlines() == [
        "HOSTNAME", "[example.org]:2222", "ssh-ed25519", KEY.fingerprint(),
        KEY.authorized_line().split()[1], "example.org", "2222", "%", "two words", "$HOME",
    ]  # fmt: skip


def test_no_output_is_an_answer(program):
    assert asked(program("true")) == b""


@pytest.mark.parametrize("text", ["exit 3", "kill $$", "exec cat /dev/zero"])
def test_a_program_that_fails(program, text):
    with pytest.raises(HostKeyError, match="failed"):
        asked(program(text))


@pytest.mark.parametrize(
    ("command", "text"),
    [("relative", "whole path"), ("/nonexistent/x", "No such file"), ("/bin/true %q", "%q"),
     ('/bin/true "', "quote")],
)  # fmt: skip
def test_commands_that_cannot_be_run(command, text):
    with pytest.raises(HostKeyError, match=text):
        asked(command)
