"""The one interface behind which every QUIC implementation stands.

An engine is one connection without I/O: datagrams and the time come in, events and datagrams go
out. It never asks for the time, opens a socket or starts a thread. The verbs are those of all
sans-IO parts of qsh: `receive_*`, `next_event`, `*_to_send`, `get_timer`, `handle_timer`.

No bytes from the network may make an engine raise: what is hostile is dropped, or ends this
connection with ConnectionClosed.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

from qsh.errors import ConfigError
from qsh.quic.events import Address, Event
from qsh.record import record

ALPN = "qsh/1"
CONNECTION_ID_LENGTH = 16
"""Bytes of every connection ID of ours: one AES block, so that a server can hide a worker's
number in it (RFC 9000 section 9.5). The client's first destination ID has this length too."""
MIN_DATAGRAM_SIZE = 1200
"""Bytes of UDP payload that every path must carry (RFC 9000 section 14)."""


NO_LIMIT = 1 << 30
"""Transmits: more than there ever are."""


@record
class IssuedId:
    """A connection ID given to the peer, with the token that resets its connection
    (RFC 9000 section 10.3)."""

    connection_id: bytes
    reset_token: bytes


def first_control(setting: str) -> str:
    """The controller that a connection begins with, for a value of CongestionControl."""
    return "cubic" if setting == "auto" else setting


def random_id() -> IssuedId:
    """An ID that routes nowhere in particular: for clients, and servers with one socket."""
    return IssuedId(os.urandom(CONNECTION_ID_LENGTH), os.urandom(16))


@record
class EngineConfig:
    """What both roles may set. Times in seconds, sizes in bytes."""

    alpn: str = ALPN
    idle_timeout: float = 90.0
    keep_alive: float | None = None
    """Send a PING after this many seconds of silence; None for never."""
    max_datagram_size: int = MIN_DATAGRAM_SIZE
    """UDP payload to start with."""
    largest_datagram_size: int = 1452
    """How far MTU discovery may go up from it: what may fit the path, by default Ethernet."""
    congestion_control: str = "cubic"
    key_exchange: tuple[str, ...] = ()
    """TLS groups (RFC 8446 section 4.2.7) to offer or take, the preferred first; those that an
    engine has not are passed over. Empty for the engine's own."""
    initial_rtt: float = 0.1
    new_id: Callable[[], IssuedId] = random_id
    """Called whenever the engine needs a connection ID of ours."""
    max_streams: int = 1024
    """Concurrent streams of each kind that the peer may open."""
    pre_login_credit: int = 65536
    """Bytes the peer may send on the whole connection until `raise_credit` is called."""
    key_log: str | None = None
    """File for TLS secrets (debugging only; never set by a program)."""


@record
class ServerIdentity:
    """The ephemeral TLS key and certificate of one connection (see qsh.quic.identity)."""

    certificate_der: bytes
    private_key_der: bytes
    """PKCS#8."""


@record
class Transmit:
    """A run of datagrams for one address: `segment_size` bytes each, the last may be shorter."""

    data: bytes
    segment_size: int
    remote: Address


@record
class Stats:
    """Facts about the connection. Times in seconds, counts since its start."""

    smoothed_rtt: float
    latest_rtt: float
    packets_sent: int
    packets_received: int
    packets_lost: int
    bytes_sent: int
    bytes_received: int
    congestion_window: int
    bytes_in_flight: int
    datagram_size: int
    remote: Address | None


class Engine(Protocol):
    """One QUIC connection. Times are those of one monotonic clock, in seconds."""

    name: str
    """`aioquic` or `quinn`."""

    def receive_datagrams(
        self, data: bytes, segment_size: int, remote: Address, now: float
    ) -> None:
        """Take a run of datagrams from one address: `segment_size` bytes each, the last may be
        shorter (what UDP_GRO gives; a single datagram is a run with its own length)."""

    def datagrams_to_send(self, now: float, most: int = NO_LIMIT) -> list[Transmit]:
        """All that may be sent now, or the first `most` Transmits of it: then there may be more.
        A Transmit is at most 64 datagrams and 65 000 bytes. An engine that makes its datagrams in
        one go gives them all."""

    def next_event(self) -> Event | None:
        """The next thing that happened, or None."""

    def get_timer(self) -> float | None:
        """When `handle_timer` wants to be called; None for never."""

    def handle_timer(self, now: float) -> None:
        """Act on what is due."""

    def migrate(self, now: float) -> None:
        """At a client: what is sent from now on leaves from another local address. Takes another
        connection ID, forgets what was learned about the old path, and has a probe ready to be
        sent (RFC 9000 sections 9.2 to 9.5). Without effect before the handshake is complete."""

    def kick(self, now: float) -> None:
        """Have something that the peer must answer ready to be sent at once, whatever timers and
        congestion window say: after an outage, or to keep a path alive. Without effect before
        the handshake is complete."""

    def use_congestion_control(self, name: str, now: float) -> bool:
        """Send by this controller from now on, as if the path were new; False, and nothing
        changes, if the engine has none of that name."""

    def open_stream(self, *, bidirectional: bool = True) -> int:
        """The ID of a new stream. Raises LocalProtocolError after the end of the connection."""

    def send_stream_data(self, stream_id: int, data: bytes, fin: bool = False) -> None:
        """Queue bytes. All are taken; the caller holds back by `stream_unsent`. What is sent on a
        stream that is finished, stopped or unknown is dropped without an error, since the peer
        may end streams at any time."""

    def stream_unsent(self, stream_id: int) -> int:
        """Bytes queued on the stream and not yet sent for the first time."""

    def consume(self, stream_id: int, count: int) -> None:
        """The application is done with `count` received bytes: give the peer credit for as many.
        Without effect in an engine that gives credit on its own."""

    def raise_credit(self) -> None:
        """Lift `pre_login_credit` to the engine's normal connection-wide credit."""

    def reset_stream(self, stream_id: int, code: int) -> None:
        """RESET_STREAM: drop what is queued."""

    def stop_stream(self, stream_id: int, code: int) -> None:
        """STOP_SENDING: ask the peer to send no more."""

    def set_priority(self, stream_id: int, priority: int) -> None:
        """Larger goes first (0 is normal). Without effect in an engine that has no priorities."""

    def send_datagrams(self, datagrams: list[bytes]) -> None:
        """Queue a DATAGRAM frame for each. Raises LocalProtocolError if one is larger than
        `max_datagram_payload` (those before it are queued) or the peer takes none."""

    @property
    def max_datagram_payload(self) -> int | None:
        """The largest payload that fits the path now; None if the peer takes no datagrams."""

    def close(self, code: int, reason: str, now: float) -> None:
        """CONNECTION_CLOSE with an application code (errors.DisconnectReason). Before the
        handshake is complete QUIC hides code and reason (RFC 9000 section 10.2.3)."""

    def export_keying_material(self, label: bytes, context: bytes, length: int) -> bytes:
        """RFC 8446 section 7.5. Raises LocalProtocolError before the handshake is complete."""

    @property
    def peer_certificate(self) -> bytes | None:
        """The server's certificate in DER, once the handshake is complete; None at the server."""

    @property
    def original_destination_connection_id(self) -> bytes:
        """The client's first destination connection ID; after a Retry still the first one."""

    @property
    def stats(self) -> Stats: ...


class EngineFactory(Protocol):
    """What each engine module offers, as module-level functions."""

    def new_client(
        self, config: EngineConfig, server_name: str, remote: Address, now: float
    ) -> Engine:
        """A client; its first flight is ready in `datagrams_to_send`. `server_name` goes out as
        SNI in clear; empty for none."""

    def new_server(
        self,
        config: EngineConfig,
        identity: ServerIdentity,
        *,
        original_destination_connection_id: bytes,
        retry_source_connection_id: bytes | None,
        now: float,
    ) -> Engine:
        """A server for one client; feed it the client's datagrams from the first on."""


def available() -> list[str]:
    """Names of the engines that are installed, the default first."""
    names = ["quinn"] if find_spec("qsh_native") else []
    return [*names, "aioquic"]


def chosen(name: str | None = None) -> str:
    """That engine if it is installed; by default what QSH_ENGINE says, else the best one here.

    Raises ConfigError for a name that is unknown or not installed.
    """
    name = name or os.environ.get("QSH_ENGINE") or available()[0]
    if name not in available():
        raise ConfigError(f"no QUIC engine {name!r} here (there is: {', '.join(available())})")
    return name


def load(name: str | None = None) -> EngineFactory:
    """The engine `chosen` by that name. Raises ConfigError."""
    if chosen(name) == "quinn":
        import qsh.quic.engine_quinn as quinn

        return quinn
    import qsh.quic.engine_aioquic as aioquic

    return aioquic
