"""ObscureKeystrokeTiming: what somebody sees who counts the packets of a session."""

import time
from collections import Counter

import pytest

from tests.integration.relay import Relay
from tests.integration.test_promise_terminal import PLAIN_SHELL
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


KEY = 0
"""Stands before the sizes of what follows a key."""


@pytest.fixture
def seen(qsh, daemon):
    """seen("yes") → packets up and down while three keys are typed and for two seconds after."""
    onlooker = Relay(daemon.port)

    def look(value):
        options = ["-p", str(onlooker.port), "-o", f"ObscureKeystrokeTiming={value}",
                   "-o", "StrictHostKeyChecking=no"]  # fmt: skip
        command = qsh.command(*options, "-t", "host", PLAIN_SHELL)
        with PtyProcess(command, qsh.environment) as terminal:
            terminal.expect(r"remote\$ $")
            time.sleep(1.5)  # whatever follows a login
            onlooker.up.clear()
            onlooker.down.clear()
            for number in range(1, 4):
                onlooker.up.append(KEY)
                terminal.write("x")
                terminal.expect(rf"remote\$ x{{{number}}}$")
                time.sleep(0.3)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                terminal.read(0.1)
            return list(onlooker.up), list(onlooker.down)

    yield look
    onlooker.close()


def test_keys_drown_in_packets_like_them_both_ways(seen):
    up, down = seen("yes")
    after = up[len(up) - up[::-1].index(KEY) :]
    [(usual, _)] = Counter(after).most_common(1)
    alike = [abs(size - usual) <= 2 for size in after]  # numbers take more room later
    assert sum(alike) >= 20  # of about 50 in the shortest time that chaff lasts
    assert any(alike[:5])  # the key is one of them; acknowledgements are shorter
    assert len(down) >= 20


def test_without_it_a_key_is_all_there_is(seen):
    up, down = seen("no")
    assert len(up) <= 25
    assert len(down) <= 20
