"""Two engines, a link that loses, reorders and doubles datagrams, and a clock that only we move."""

import heapq
import os
import random
from dataclasses import dataclass
from functools import cache

from qsh.quic.engine import EngineConfig, available, load
from qsh.quic.events import ConnectionClosed, HandshakeCompleted, StreamData
from qsh.quic.identity import (
    NONCE_LENGTH,
    encode_attestation,
    make_certificate,
    new_identity_key,
)

CLIENT_ADDRESS = ("192.0.2.1", 40000)
SERVER_ADDRESS = ("192.0.2.2", 22)
ENGINE_PAIRS = [(client, server) for client in available() for server in available()]


@cache
def identity(host_key_size=51, signature_size=83):
    """A server's identity with an attestation of an ed25519 key's size, signed by nobody."""
    attestation = encode_attestation(
        os.urandom(host_key_size), os.urandom(NONCE_LENGTH), os.urandom(signature_size)
    )
    return make_certificate(new_identity_key(), attestation)


@dataclass
class Link:
    """One way and back. Times in seconds; the others are probabilities per datagram."""

    latency: float = 0.01
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    mtu: int = 65535
    seed: int = 1
    cut: bool = False

    def __post_init__(self):
        self._random = random.Random(self.seed)

    def delays(self, size):
        """When the copies of a datagram arrive, from now; none if it is lost."""
        if self.cut or size > self.mtu or self._random.random() < self.loss:
            return []
        delay = self.latency
        if self._random.random() < self.reorder:
            delay += self.latency * self._random.random()
        copies = 2 if self._random.random() < self.duplicate else 1
        return [delay + 0.0001 * copy for copy in range(copies)]


class Side:
    """One engine, what it has reported, and where it is."""

    def __init__(self, name, engine, address):
        self.name, self.engine, self.address = name, engine, address
        self.events = []
        self.closed = None
        self.received = {}
        self.finished = set()
        self.consumes = True
        self.muted = False

    def collect(self):
        while (event := self.engine.next_event()) is not None:
            assert not self.closed, f"{event} after the end"
            self.events.append(event)
            if isinstance(event, ConnectionClosed):
                self.closed = event
            if isinstance(event, StreamData):
                self.received[event.stream_id] = (
                    self.received.get(event.stream_id, b"") + event.data
                )
                if event.fin:
                    assert event.stream_id not in self.finished, "two ends of one stream"
                    self.finished.add(event.stream_id)
                if self.consumes:
                    self.engine.consume(event.stream_id, len(event.data))

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def handshaken(self):
        return bool(self.of(HandshakeCompleted))


class Pair:
    """A client and a server on a link. `engines`: the names of the two."""

    def __init__(self, engines, link=None, client_config=None, server_config=None, **server):
        self.now = 1000.0
        self.link = link or Link()
        self.log = []
        self._flying = []
        self._order = 0
        client_factory, server_factory = load(engines[0]), load(engines[1])
        client = client_factory.new_client(
            client_config or EngineConfig(), "host.example", SERVER_ADDRESS, self.now
        )
        server.setdefault(
            "original_destination_connection_id", client.original_destination_connection_id
        )
        server.setdefault("retry_source_connection_id", None)
        server_identity = server.pop("identity", None) or identity()
        self.client = Side("client", client, CLIENT_ADDRESS)
        self.server = Side(
            "server",
            server_factory.new_server(
                server_config or EngineConfig(), server_identity, now=self.now, **server
            ),
            SERVER_ADDRESS,
        )

    @property
    def sides(self):
        return (self.client, self.server)

    def other(self, side):
        return self.server if side is self.client else self.client

    def flush(self, side):
        """Put on the link what the engine wants to send."""
        for transmit in side.engine.datagrams_to_send(self.now):
            assert 0 < len(transmit.data) <= 65000
            assert len(transmit.data) <= 64 * transmit.segment_size
            for start in range(0, len(transmit.data), transmit.segment_size):
                self.send(side, transmit.data[start : start + transmit.segment_size])

    def send(self, side, datagram):
        """Put one datagram on the link, from `side` to the other."""
        if side.muted:
            return
        self.log.append((self.now, side.name, datagram))
        for delay in self.link.delays(len(datagram)):
            self._order += 1
            flight = (self.now + delay, self._order, self.other(side), datagram, side.address)
            heapq.heappush(self._flying, flight)

    def run(self, seconds=5.0, until=None):
        """Let time pass until `until()` is true, for at most `seconds`; returns whether it was."""
        end = self.now + seconds
        for _ in range(200_000):
            for side in self.sides:
                side.collect()
                self.flush(side)
                side.collect()
            if until is not None and until():
                return True
            due = [t for side in self.sides if (t := side.engine.get_timer()) is not None]
            due += [self._flying[0][0]] if self._flying else []
            if not due or min(due) > end:
                self.now = end
                return until is None
            self.now = max(self.now, min(due))
            self._step()
        raise AssertionError("the engines never come to rest")

    def _step(self):
        while self._flying and self._flying[0][0] <= self.now:
            _, _, side, datagram, source = heapq.heappop(self._flying)
            side.engine.receive_datagrams(datagram, len(datagram), source, self.now)
        for side in self.sides:
            timer = side.engine.get_timer()
            if timer is not None and timer <= self.now:
                side.engine.handle_timer(self.now)

    def handshake(self):
        """Complete it, and let both ends trust each other with full windows."""
        assert self.run(10, lambda: self.client.handshaken and self.server.handshaken)
        self.client.engine.raise_credit()
        self.server.engine.raise_credit()
        self.run(0.5)
        return self

    def sent(self, name):
        return [datagram for _, sender, datagram in self.log if sender == name]


def config(**changes):
    return EngineConfig(**changes)
