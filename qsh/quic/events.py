"""What an engine reports, in the order it happened."""

from qsh.record import record

IDLE_TIMEOUT = "idle timeout"
"""The reason of a connection whose peer has vanished (ConnectionClosed)."""
Address = tuple[str, int]
"""An IP address in text and a UDP port. IPv6 without brackets or scope."""


@record
class HandshakeCompleted:
    """TLS is done; the peer has proved to hold its certificate's key (RFC 8446 section 4.4.3)."""

    alpn: str
    resumed: bool = False
    key_exchange: str = ""
    """The group's name, such as X25519 or X25519MLKEM768; empty where the engine cannot say."""


@record
class StreamData:
    """Bytes of a stream, in order. `fin`: there are no more."""

    stream_id: int
    data: bytes
    fin: bool = False


@record
class StreamReset:
    """The peer will send no more on this stream (RESET_STREAM)."""

    stream_id: int
    code: int


@record
class StreamStopped:
    """The peer will read no more from this stream (STOP_SENDING)."""

    stream_id: int
    code: int


@record
class DatagramsReceived:
    """The payloads of DATAGRAM frames (RFC 9221), in the order in which they came."""

    datagrams: list[bytes]


@record
class PathChanged:
    """The peer is now reached at `remote`, and that path is validated (RFC 9000 section 8.2)."""

    remote: Address


@record
class PathTried:
    """The peer was heard at `remote`, and has not proved yet to be there. What was under way to
    where it was before may be lost; a large datagram of the peer's would speed up the proof."""

    remote: Address


@record
class ConnectionClosed:
    """The connection is over; nothing follows.

    `code` is an application reason (errors.DisconnectReason) if `by_application`, else a QUIC
    transport error (RFC 9000 section 20.1). `local`: we closed it. An idle time-out is
    code 0, reason "idle timeout".
    """

    code: int
    reason: str
    by_application: bool
    local: bool


Event = (
    HandshakeCompleted
    | StreamData
    | StreamReset
    | StreamStopped
    | DatagramsReceived
    | PathChanged
    | PathTried
    | ConnectionClosed
)
