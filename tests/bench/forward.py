"""Forwards: bytes per second through -L, what a small request costs, datagrams per second."""

import contextlib
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tests.bench.figures import spread, text_table
from tests.bench.peers import Peer, all_peers
from tests.integration.forward_peers import (
    LOCALHOST,
    EchoServer,
    UdpEchoServer,
    connect,
    end,
    free_port,
    wait_for_port,
)
from tests.sources import ROOT

MEGABYTE = 1_000_000
REQUESTS = 200
"""Connections with one small request each, one after the other; datagrams, too."""
CONNECTIONS, AT_A_TIME = 400, 8
DATAGRAM = 200
"""Bytes."""
SECONDS = 3.0
"""For the datagrams."""


@contextlib.contextmanager
def forwarding(peer: Peer, *options: str) -> Iterator[None]:
    """The peer's client with these forwards, and no session."""
    command = [*peer.command[:-1], "-N", *options, peer.command[-1]]
    process = subprocess.Popen(command, env=peer.environment, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        end(process)


def bulk(peer: Peer, size: int) -> float:
    """MB/s of one connection that a server fills."""
    with socket.create_server((LOCALHOST, 0)) as source:
        port = free_port()
        with forwarding(peer, "-L", f"{port}:{LOCALHOST}:{source.getsockname()[1]}"):
            threading.Thread(target=_pour, args=[source, size], daemon=True).start()
            with connect(port) as sock:
                begin, received = time.monotonic(), 0
                buffer = bytearray(MEGABYTE)
                while count := sock.recv_into(buffer):
                    received += count
                seconds = time.monotonic() - begin
    if received != size:
        raise RuntimeError(f"{peer.name}: {received} bytes of {size}")
    return size / seconds / MEGABYTE


def _pour(source: socket.socket, size: int) -> None:
    sock, _ = source.accept()
    with sock:
        block = bytes(MEGABYTE)
        for _ in range(size // MEGABYTE):
            sock.sendall(block)


def requests(peer: Peer) -> tuple[float, float]:
    """What a connection with one small request adds to a direct one, median milliseconds, one
    after the other; and such connections per second, some at a time."""
    port = free_port()
    with EchoServer() as echo, forwarding(peer, "-L", f"{port}:{LOCALHOST}:{echo.port}"):
        wait_for_port(port)
        times = {where: [_ask(where) for _ in range(REQUESTS)] for where in (port, echo.port)}
        begin = time.monotonic()
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            list(threads.map(_ask, [port] * CONNECTIONS))
        rate = CONNECTIONS / (time.monotonic() - begin)
    return (statistics.median(times[port]) - statistics.median(times[echo.port])) * 1000, rate


def _ask(port: int) -> float:
    """Seconds of a connection with one small request and its answer."""
    begin = time.monotonic()
    with connect(port) as sock:
        sock.sendall(b"x")
        sock.recv(1)
    return time.monotonic() - begin


def datagram_latency(peer: Peer) -> float:
    """What a datagram to an echo server and back takes longer than a direct one, median
    milliseconds."""
    port = free_port(socket.SOCK_DGRAM)
    spec = f"udp/{port}:{LOCALHOST}:"
    with UdpEchoServer() as echo, forwarding(peer, "-L", f"{spec}{echo.port}"):
        through, direct = _round_trips(port), _round_trips(echo.port)
    return (through - direct) * 1000


def _round_trips(port: int) -> float:
    times = []
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        while len(times) < REQUESTS:
            begin = time.monotonic()
            sock.sendto(bytes(DATAGRAM), (LOCALHOST, port))
            with contextlib.suppress(TimeoutError):  # nobody listens yet
                sock.recv(2000)
                times.append(time.monotonic() - begin)
            time.sleep(0.002)
    return statistics.median(times)


def datagrams(peer: Peer, rate: int) -> tuple[float, float]:
    """(datagrams that arrive per second, share lost) of `rate` per second sent."""
    port = free_port(socket.SOCK_DGRAM)
    counter = _program("count", 1.0, DATAGRAM)
    assert counter.stdout is not None
    try:
        target = f"udp/{port}:{LOCALHOST}:{int(counter.stdout.readline())}"
        with forwarding(peer, "-L", target):
            _open_flow(port, counter.stdout)
            sender = _program("send", port, rate, SECONDS, DATAGRAM)
            sent = int(sender.communicate()[0])
            received = int(counter.communicate(timeout=60)[0])
    finally:
        counter.kill()
        counter.wait()
    return received / SECONDS, 1 - received / sent


def _program(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.datagram_peers", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _open_flow(port: int, counter: IO[str]) -> None:
    """Send something else until the far end has told that it came."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        while not select.select([counter], [], [], 0.1)[0]:
            sock.sendto(b"hello", (LOCALHOST, port))
    counter.readline()
    time.sleep(2.0)  # the path's size is known by then


def measure(folder: Path, engines: Sequence[str], size_mb: int, repetitions: int, rate: int
            ) -> list[dict[str, Any]]:  # fmt: skip
    """A row per peer; peers take turns. ssh forwards no datagrams."""
    with all_peers(folder, engines) as peers:
        rows: list[dict[str, Any]] = [
            {"peer": peer.name, "size_mb": size_mb, "rate": rate, "bulk": [], "request_ms": [],
             "connections": [], "datagram_ms": [], "datagrams": []}
            for peer in peers
        ]  # fmt: skip
        for _ in range(repetitions):
            for peer, row in zip(peers, rows, strict=True):
                row["bulk"].append(bulk(peer, size_mb * MEGABYTE))
                added, per_second = requests(peer)
                row["request_ms"].append(added)
                row["connections"].append(per_second)
                if not peer.name.startswith("ssh"):
                    row["datagram_ms"].append(datagram_latency(peer))
                    row["datagrams"].append(datagrams(peer, rate))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians."""
    first = rows[0]
    lines = [["loopback", "-L MB/s", "spread", "request ms", "connections/s", "datagram ms",
              "datagrams/s", "lost"]]  # fmt: skip
    for row in rows:
        low, high = spread(row["bulk"])
        udp = row["datagrams"]
        lines.append([
            row["peer"], f"{statistics.median(row['bulk']):.0f}", f"{low:.0f}-{high:.0f}",
            f"+{statistics.median(row['request_ms']):.2f}",
            f"{statistics.median(row['connections']):.0f}",
            f"+{statistics.median(row['datagram_ms']):.2f}" if udp else "-",
            f"{statistics.median(d for d, _ in udp):.0f}" if udp else "-",
            f"{statistics.median(lost for _, lost in udp):.1%}" if udp else "-",
        ])  # fmt: skip
    return (f"{first['size_mb']} MB through -L; {DATAGRAM}-byte datagrams, {first['rate']} sent "
            f"per second; medians of {len(first['bulk'])}\n{text_table(lines)}")  # fmt: skip
