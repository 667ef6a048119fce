"""What a new connection's monitor and worker are forked with: frozen values and open sockets."""

import socket
from dataclasses import dataclass

from qsh.config.server import ServerConfig
from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.environment import Peers
from qsh.server.launch.host_keys import HostKey
from qsh.server.listener.connection_ids import ServerKeys


@dataclass(frozen=True, slots=True)
class ConnectionStart:
    """From the launcher to a monitor: one new connection."""

    number: int
    """The worker's, hidden in its connection IDs."""
    config: ServerConfig
    host_keys: tuple[HostKey, ...]
    """Public sides; the first one attests."""
    signer: socket.socket
    """The way to the private sides."""
    keys: ServerKeys
    """Connection IDs are issued by them."""
    peers: Peers
    requests: socket.socket
    """To the worker."""
    report: socket.socket
    """To the listener, which learns of the connection's end by its end."""
    relay: socket.socket
    """A copy of the listener's end of the worker's relay (see server.listener_link)."""
    original_destination: bytes
    """The ID that the client made up for its first packet."""
    folder: str
    """Where the next listener looks for the monitor; empty for nowhere."""


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """From the zygote to a worker: one new connection."""

    settings: ServerSettings
    peers: Peers
    sock: socket.socket
    """Connected to the client. The worker's alone after the fork."""
    relay: socket.socket
    """Datagrams that reached the listener instead; SOCK_SEQPACKET (see server.relay)."""
    requests: socket.socket
    """To the monitor."""
    datagrams: tuple[bytes, ...]
    """What has arrived already."""
    original_destination: bytes
    retry_source: bytes | None
    delay_secret: bytes
    """Of ServerKeys."""
    empty_folder: str | None
    """For the worker's chroot; None without root."""
