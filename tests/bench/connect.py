"""`HOST true` from the program's start to its exit: fixed cost and round trips."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import line_through, spread, text_table
from tests.bench.peers import Peer, all_peers
from tests.wan.lab import Wan

WARM_UP = 2
"""Runs before those that count: byte code and disk caches are then as on any used machine."""
LIMIT_SECONDS = 60


def seconds_to_exit(peer: Peer) -> float:
    begin = time.monotonic()
    done = subprocess.run([*peer.command, "true"], env=peer.environment, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS)  # fmt: skip
    taken = time.monotonic() - begin
    if done.returncode:
        raise RuntimeError(f"{peer.name}: status {done.returncode}: {done.stderr.decode()}")
    return taken


def measure_once(peers: Sequence[Peer], repetitions: int) -> dict[str, list[float]]:
    """Values by peer. Peers take turns, so that the machine's load meets all alike."""
    for _ in range(WARM_UP):
        for peer in peers:
            seconds_to_exit(peer)
    values: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(repetitions):
        for peer in peers:
            values[peer.name].append(seconds_to_exit(peer))
    return values


def measure(folder: Path, engines: Sequence[str], rtts_ms: Sequence[int], repetitions: int
            ) -> list[dict[str, Any]]:  # fmt: skip
    """A row per peer: {"peer", "values": {rtt_ms: [seconds, …]}}."""
    rows: dict[str, dict[str, Any]] = {}

    def note(rtt_ms: int, values: dict[str, list[float]]) -> None:
        for name, seconds in values.items():
            rows.setdefault(name, {"peer": name, "values": {}})["values"][rtt_ms] = seconds

    if os.geteuid() != 0:
        with all_peers(folder, engines) as peers:
            note(0, measure_once(peers, repetitions))
        return list(rows.values())
    with Wan() as wan, all_peers(folder, engines, wan.server_address, wan.client,
                                 wan.server) as peers:  # fmt: skip
        for rtt_ms in rtts_ms:
            wan.ctl(f"set delay={rtt_ms / 2}ms")
            note(rtt_ms, measure_once(peers, repetitions))
    return list(rows.values())


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians with spread for each round-trip time, and the line through the medians."""
    rtts = list(rows[0]["values"])
    count = len(rows[0]["values"][rtts[0]])
    lines = [["`HOST true`, RTT", *(f"{rtt} ms" for rtt in rtts), "fixed + round trips"]]
    for row in rows:
        cells = [row["peer"]]
        for seconds in row["values"].values():
            low, high = spread(seconds)
            cells.append(f"{statistics.median(seconds):.3f} s ({low:.3f}-{high:.3f})")
        fit = line_through([(rtt / 1e3, statistics.median(s)) for rtt, s in row["values"].items()])
        cells.append(f"{fit[0]:.3f} s + {fit[1]:.2f} RTT" if fit else "(one RTT only)")
        lines.append(cells)
    return f"medians of {count} (10th-90th percentile)\n{text_table(lines)}"
