"""Forged Initials from very many addresses: `python -m tests.integration.flood HOST PORT RATE`.

Each is a real client's, but for its address and the connection ID. To another machine, which may be
a namespace, the addresses are of all of 10.64/10, written into raw packets (root); on the loopback
they are some of 127/8. Ends on SIGTERM, and prints how many it has sent.
"""

import contextlib
import os
import random
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

from qsh.quic import engine
from qsh.quic.engine import EngineConfig

LOOPBACK_ADDRESSES = 64
MOST_AT_ONCE = 100
"""Packets: who was kept waiting does not make up for it by a burst, which would fill any queue."""
Send = Callable[[bytes], None]


def first_flight() -> bytearray:
    """A client's first packet."""
    client = engine.load("aioquic").new_client(EngineConfig(), "x", ("127.0.0.1", 1), 0.0)
    return bytearray(client.datagrams_to_send(0.0)[0].data[:1200])


def by_loopback(port: int) -> Send:
    """From sockets, one for each address."""
    sockets = []
    for number in range(1, LOOPBACK_ADDRESSES + 1):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((f"127.7.0.{number}", 0))
        sock.setblocking(False)
        sockets.append(sock)
    return lambda data: void(random.choice(sockets).sendto(data, ("127.0.0.1", port)))


def by_raw_packets(host: str, port: int) -> Send:
    """From any address and port, in a header of our own (RFC 791, RFC 768; without UDP's checksum,
    which may be absent). The kernel fills in length and checksum of IPv4's."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setblocking(False)
    target = socket.inet_aton(host)

    def send(data: bytes) -> None:
        source = struct.pack("!I", 0x0A400000 | random.getrandbits(22))
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, source,
                         target)  # fmt: skip
        udp = struct.pack("!HHHH", random.randrange(1024, 65536), port, 8 + len(data), 0)
        sock.sendto(ip + udp + data, (host, 0))

    return send


def void(_: object) -> None:
    """For a Send."""


def flood(host: str, port: int, rate: float) -> int:
    """Send until SIGTERM; how many."""
    ends = []
    os.nice(19)  # an attacker's machine takes no time of ours
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
    packet, sent = first_flight(), 0
    send = by_loopback(port) if host.startswith("127.") else by_raw_packets(host, port)
    length = packet[5]
    print("ready", flush=True)
    begin = time.monotonic()
    while not ends:
        due = int((time.monotonic() - begin) * rate)
        if due > sent + MOST_AT_ONCE:
            begin += (due - sent - MOST_AT_ONCE) / rate
            due = sent + MOST_AT_ONCE
        while sent < due and not ends:
            packet[6 : 6 + length] = os.urandom(length)
            with contextlib.suppress(OSError):
                send(bytes(packet))
            sent += 1
        time.sleep(0.002)
    return sent


if __name__ == "__main__":
    print(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
