"""The agent's client against agents that misbehave. A real one: tests/interop."""

import contextlib
import socket
import threading
import time

import pytest

from qsh.auth.agent import Agent
from qsh.auth.blobs import string
from qsh.errors import IdentityError
from tests.key_making import ED25519, RSA


@pytest.fixture
def serve(tmp_path):
    """Give an agent that answers each request with these bytes, whatever it was."""
    opened = []

    def start(reply, *, timeout=5.0):
        path = str(tmp_path / f"agent{len(opened)}")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def answer():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                while connection.recv(65536) and reply is not None:
                    connection.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        agent = Agent(path, timeout=timeout)
        opened.extend((agent, listener))
        return agent

    yield start
    for thing in opened:
        thing.close()


def identities(*entries, count=None):
    body = b"".join(string(blob) + string(comment) for blob, comment in entries)
    number = len(entries) if count is None else count
    return string(b"\x0c" + number.to_bytes(4, "big") + body)


def test_keys_are_listed_with_comments(serve):
    agent = serve(identities(
        (ED25519.public.blob, b"mine"), (string(b"ssh-dss") + b"?", b"old"),
        (RSA.public.blob, b"\xff"),
    ))
    assert agent.identities() == [(ED25519.public, "mine"), (RSA.public, "\ufffd")]


def test_a_signature_comes_back(serve):
    signature = ED25519.sign(b"data")
    agent = serve(string(b"\x0e" + string(signature)))
    assert agent.sign(ED25519.public, b"data") == signature


@pytest.mark.parametrize(
    "reply",
    [
        None, string(b""), string(b"\5"), b"\xff\xff\xff\xff", string(b"\x0c"),
        identities(count=3), identities(count=100_000), string(b"\x0c\0\0\0\1\0\0\0\x09x"),
        string(b"\x0e\0\0\0\5x"), string(b"\x0e" + string(b"")),
    ],
)
def test_an_agent_that_misbehaves_is_an_identity_error(serve, reply):
    with pytest.raises(IdentityError, match="agent"):
        serve(reply).identities()
    with pytest.raises(IdentityError, match="agent"):
        serve(reply).sign(ED25519.public, b"data")


def test_the_agent_must_sign_as_it_was_told(serve):
    reply = string(b"\x0e" + string(RSA.sign(b"data", "rsa-sha2-256")))
    assert serve(reply).sign(RSA.public, b"data", "rsa-sha2-256")
    with pytest.raises(IdentityError, match="signed as rsa-sha2-256"):
        serve(reply).sign(RSA.public, b"data", "rsa-sha2-512")


def test_an_agent_that_never_answers_a_list_is_given_up(serve):
    start = time.monotonic()
    with pytest.raises(IdentityError, match="no answer"):
        serve(b"", timeout=0.2).identities()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["missing", "x" * 200, "a\0b"])
def test_no_agent_is_an_identity_error(tmp_path, name):
    with pytest.raises(IdentityError, match="cannot reach the agent"):
        Agent(f"{tmp_path}/{name}")
