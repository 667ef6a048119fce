import pytest

from qsh.quic.events import IDLE_TIMEOUT
from qsh.server.monitor.log_lines import User, ended_line

ORIGIN = "192.0.2.1 port 4"


@pytest.mark.parametrize(
    ("user", "reason", "by_peer", "is_logged_in", "line"),
    [
        (None, "x", True, False, f"Connection closed by {ORIGIN} [preauth]"),
        (User("u", True), "x", True, False,
         f"Connection closed by authenticating user u {ORIGIN} [preauth]"),
        (User("u", False), "x", True, False,
         f"Connection closed by invalid user u {ORIGIN} [preauth]"),
        (User("u", True), "x", True, True, f"Disconnected from user u {ORIGIN}"),
        (User("u", True), "why", False, True, f"Disconnecting user u {ORIGIN}: why"),
        (None, IDLE_TIMEOUT, False, False,
         f"Timeout, client not responding from {ORIGIN} [preauth]"),
    ],
)  # fmt: skip
def test_lines_are_sshds(user, reason, by_peer, is_logged_in, line):
    assert ended_line(ORIGIN, user, reason, by_peer=by_peer, is_logged_in=is_logged_in) == line


def test_a_workers_text_is_bounded():
    line = ended_line(ORIGIN, None, "x" * 100_000, by_peer=False, is_logged_in=True)
    assert len(line) < 1200
