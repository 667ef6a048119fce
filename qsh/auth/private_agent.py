"""An ssh-agent of our own, for a moment: OpenSSH's way to security keys and PKCS #11 tokens.

The agent runs `ssh-sk-helper` and `ssh-pkcs11-helper`, so that a library that speaks to a device is
loaded into none of our processes, and every device that OpenSSH can use works the same here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsh.auth.agent import Agent
from qsh.errors import IdentityError

if TYPE_CHECKING:
    from subprocess import Popen

AGENT_START_TIMEOUT = 10.0
"""Seconds for a private agent to come up; here it takes 20 ms."""


@contextmanager
def private_agent(provider: str, purpose: str) -> Iterator[Agent]:
    """An agent that accepts this library alone (none if empty). `purpose` is what needs it, for
    the error. Raises IdentityError."""
    import subprocess
    import tempfile

    allowed = ["-P", os.path.realpath(provider)] if provider else []
    with tempfile.TemporaryDirectory(prefix="qsh-") as folder:
        path = os.path.join(folder, "agent")
        try:
            process = subprocess.Popen(
                ["ssh-agent", "-D", *allowed, "-a", path],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        except OSError:
            raise IdentityError(
                f"{purpose} need OpenSSH's ssh-agent, which is not installed here"
            ) from None
        try:
            with _connect(path, process) as agent:
                yield agent
        finally:
            process.terminate()
            process.wait()


def _connect(path: str, process: "Popen[bytes]") -> Agent:
    import time

    deadline = time.monotonic() + AGENT_START_TIMEOUT
    while True:
        try:
            return Agent(path)
        except IdentityError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise IdentityError("a private ssh-agent failed to start") from None
        time.sleep(0.005)
