"""How a connection ended, in words."""

import pytest

from qsh.errors import DisconnectReason
from qsh.net.endings import is_farewell, is_loss, loss_error
from qsh.quic.events import ConnectionClosed


@pytest.mark.parametrize(
    ("code", "reason", "by_application", "text"),
    [
        (12, "too many", True, "connection closed by host: too many"),
        (0, "idle timeout", False, "connection to host lost: idle timeout"),
        (0x178, "", False, "host speaks QUIC but not qsh: something else listens there"),
        (0x0C, "", False, "connection refused by host"),
        (1, "oops", False, "connection to host failed: oops (QUIC error 0x1)"),
    ],
)
def test_the_end_in_words(code, reason, by_application, text):
    closed = ConnectionClosed(code, reason, by_application, local=False)
    assert str(loss_error(closed, "host")) == text


def test_only_what_nobody_wanted_is_a_loss():
    idle = ConnectionClosed(0, "idle timeout", by_application=False, local=False)
    assert is_loss(idle)
    bye = ConnectionClosed(DisconnectReason.BY_APPLICATION, "", by_application=True, local=False)
    assert is_farewell(bye)
    assert not is_loss(bye)
