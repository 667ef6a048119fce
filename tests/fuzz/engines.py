"""Fuzzing the engines: every datagram that arrives may be hostile, none may make an engine raise.

Two kinds of attack, against each engine in both roles:

- *Strangers* know no key: noise, and real packets that were changed. After the handshake they must
  not even be able to end the connection.
- *Traitors* are peers with valid keys: an aioquic engine whose plaintext is changed before it is
  encrypted, so that ClientHellos, ServerHellos, handshake messages and frames are parsed by the
  other side. They may end their own connection, and nothing else.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from aioquic.quic.crypto import CryptoPair

from qsh.quic.engine import available
from tests.fuzz.hostile import Hostile
from tests.unit.quic.simulation import Link, Pair

SLOW = 2.0
"""Seconds of CPU that no single datagram may cost."""
PACKETS_PER_STRANGER = 400
PACKETS_PER_TRAITOR = 40
CONNECTIONS_PER_STRANGER = 8
"""Traitors seldom get more than five packets in before they are thrown out."""
MAX_PAYLOAD = 1100


@dataclass
class Report:
    """What happened, by kind of attack."""

    runs: Counter = field(default_factory=Counter)
    ended: Counter = field(default_factory=Counter)
    slowest: float = 0.0

    def line(self) -> str:
        kinds = ", ".join(f"{k} {n} ({self.ended[k]} ended)" for k, n in sorted(self.runs.items()))
        total = sum(self.runs.values())
        return f"{total} hostile packets: {kinds}; slowest {self.slowest * 1000:.0f} ms; 0 escaped"


class Target:
    """Feeds one side of a pair and watches it."""

    def __init__(self, pair, side, report):
        self.pair, self.side, self.report = pair, side, report

    def feed(self, datagram, kind):
        start = time.process_time()
        was_open = not self.side.closed
        engine, now = self.side.engine, self.pair.now
        engine.receive_datagrams(
            datagram, max(len(datagram), 1), self.pair.other(self.side).address, now
        )
        self.side.collect()
        engine.datagrams_to_send(now)
        timer = engine.get_timer()
        if timer is not None and timer <= now:
            engine.handle_timer(now)
        self.side.collect()
        cost = time.process_time() - start
        assert cost < SLOW, f"a datagram of {len(datagram)} bytes cost {cost:.1f} s"
        self.report.slowest = max(self.report.slowest, cost)
        self.report.runs[kind] += 1
        self.report.ended[kind] += was_open and bool(self.side.closed)


def strangers(engines, seed, report):
    """Noise and changed packets: before the handshake, then after it, where nothing may end."""
    hostile = Hostile(seed)
    pair = Pair(engines)
    pair.run(1.5 * pair.link.latency)
    for side in pair.sides:
        target = Target(pair, side, report)
        recorded = pair.sent(pair.other(side).name)
        for _ in range(PACKETS_PER_STRANGER // 8):
            target.feed(hostile.mutated(hostile.random.choice(recorded)), "early stranger")
    pair = Pair(engines).handshake()
    stream_id = pair.client.engine.open_stream()
    pair.client.engine.send_stream_data(stream_id, b"x" * 3000)
    pair.run(1)
    recorded = [packet for _, _, packet in pair.log]
    for side in pair.sides:
        target = Target(pair, side, report)
        for _ in range(3 * PACKETS_PER_STRANGER // 8):
            packet = hostile.random.choice(recorded)
            noise = hostile.random.random() < 0.3
            target.feed(hostile.garbage() if noise else hostile.mutated(packet), "stranger")
    pair.client.engine.send_stream_data(stream_id, b"still here", True)
    assert pair.run(30, lambda: stream_id in pair.server.finished), "strangers ended a connection"


class Traitor:
    """Changes what an aioquic engine sends, between the making of a packet and its encryption."""

    def __init__(self, engine, hostile, honest_packets):
        self._connection = engine._connection
        self._hostile = hostile
        self._honest_packets = honest_packets

    def owns(self, crypto):
        return crypto in self._connection._cryptos.values()

    def change(self, payload):
        self._honest_packets -= 1
        if self._honest_packets >= 0:
            return payload
        if self._hostile.random.random() < 0.4:
            payload = payload[: self._hostile.random.randrange(len(payload))]
            payload += self._hostile.frames()
        else:
            payload = self._hostile.mutated(payload.rstrip(b"\0") or payload)
        return payload[:MAX_PAYLOAD].ljust(4, b"\0")


def traitors(engines, role, seed, report, monkeypatch):
    """A peer with keys: the first packets are honest, so that all stages are reached."""
    hostile = Hostile(seed)
    pair = Pair(engines, Link(latency=0.001))
    attacker = pair.client if role == "client" else pair.server
    victim = pair.other(attacker)
    traitor = Traitor(attacker.engine, hostile, hostile.random.choice([0, 1, 2, 3, 6, 12]))
    encrypt = CryptoPair.encrypt_packet

    def changed(crypto, header, payload, number):
        if traitor.owns(crypto):
            before, payload = len(payload), traitor.change(payload)
            header = with_length(header, len(payload) - before)
            report.runs[f"traitor {role}"] += 1
        return encrypt(crypto, header, payload, number)

    with monkeypatch.context() as patched:
        patched.setattr(CryptoPair, "encrypt_packet", changed)
        drive(pair, attacker, victim, hostile)
    report.ended[f"traitor {role}"] += bool(victim.closed)


def with_length(header, change):
    """A long header's length field, which aioquic writes as two bytes before the packet number."""
    if not header[0] & 0x80:
        return header
    length = int.from_bytes(header[-4:-2], "big") + change
    return header[:-4] + length.to_bytes(2, "big") + header[-2:]


def drive(pair, attacker, victim, hostile):
    """Let the two talk; whatever the attacker does to itself, the victim must not raise."""
    for number in range(PACKETS_PER_TRAITOR):
        if victim.closed or attacker.closed:
            break
        if attacker.handshaken and not attacker.closed:
            stream_id = attacker.engine.open_stream()
            size = hostile.random.choice([1, 100, 1000])
            attacker.engine.send_stream_data(stream_id, bytes(size), number % 2 == 0)
        pair.run(0.02)
    pair.run(0.5)


def fuzz(runs, seed, monkeypatch, names=None):
    """Attack until at least `runs` hostile packets were sent to each engine; one line for each."""
    for name in names or available():
        report = Report()
        while sum(report.runs.values()) < runs:
            seed += 1
            strangers((name, name), seed, report)
            for turn in range(CONNECTIONS_PER_STRANGER):
                traitors(("aioquic", name), "client", 100 * seed + turn, report, monkeypatch)
                traitors((name, "aioquic"), "server", 100 * seed + turn, report, monkeypatch)
        yield name, report
