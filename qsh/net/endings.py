"""How a connection ended: whose wish it was, and what to tell the user. Pure."""

from qsh.errors import DisconnectReason, NetworkError
from qsh.quic.events import ConnectionClosed


def is_farewell(closed: ConnectionClosed) -> bool:
    """Whether the peer has ended the connection because all is done."""
    return (closed.by_application and not closed.local
            and closed.code == DisconnectReason.BY_APPLICATION)  # fmt: skip


def is_loss(closed: ConnectionClosed) -> bool:
    """Whether the connection ended without anybody's wish: another may take its place."""
    if not closed.by_application:
        return True
    return not closed.local and closed.code in _PASSING


_PASSING = (DisconnectReason.SERVICE_NOT_AVAILABLE, DisconnectReason.CONNECTION_LOST)


def loss_error(closed: ConnectionClosed, peer: str) -> NetworkError:
    """What to tell the user about the end of the connection to `peer`."""
    reason = closed.reason or f"code {closed.code}"
    if closed.local and closed.by_application:
        return NetworkError(f"connection to {peer} closed: {reason}")
    if closed.by_application:
        return NetworkError(f"connection closed by {peer}: {reason}")
    if closed.code == 0:
        return NetworkError(f"connection to {peer} lost: {reason}")
    if closed.code == _HIDDEN:
        return NetworkError(f"connection refused by {peer}")
    if closed.code == _NO_ALPN:
        return NetworkError(f"{peer} speaks QUIC but not qsh: something else listens there")
    return NetworkError(f"connection to {peer} failed: {reason} (QUIC error {closed.code:#x})")


_HIDDEN = 0x0C
"""RFC 9000 section 10.2.3: an application's close before the handshake is complete."""
_NO_ALPN = 0x100 + 120
"""RFC 9001 section 4.8: the TLS alert no_application_protocol (RFC 7301)."""
