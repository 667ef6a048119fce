"""What scripts wait for: a command over a live master, and ssh's turn where no qshd is.

What detection costs is the difference between a first visit to a host with ssh's server alone and
a second one, which knows; a program in ssh's place ends at once.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.figures import spread, text_table
from tests.bench.machine import programs
from tests.bench.peers import Peer, all_peers, without_source_tree
from tests.integration.harness import Client
from tests.wan.lab import Wan

LIMIT_SECONDS = 60
MUTE = ("import socket, sys; sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "sock.bind((sys.argv[1], int(sys.argv[2]))); print(flush=True); sys.stdin.read()")
PORTS = {"port unreachable": 2022, "silence": 2023}
Run = Callable[[], float]


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS)  # fmt: skip
    taken = time.monotonic() - begin
    if done.returncode:
        raise RuntimeError(f"{command}: status {done.returncode}: {done.stderr.decode()}")
    return taken


@contextmanager
def master_of(peer: Peer, folder: Path) -> Iterator[Run]:
    """A live master, and what times a further command over it."""
    path = folder / f"{len(list(folder.iterdir()))}.ctl"
    *words, host = peer.command
    shared = [*words, "-S", str(path)]
    seconds([*shared, "-M", "-o", "ControlPersist=yes", "-f", "-N", host], peer.environment)
    try:
        yield lambda: seconds([*shared, host, "true"], peer.environment)
    finally:
        subprocess.run([*shared, "-O", "exit", host], env=peer.environment, check=False,
                       capture_output=True)  # fmt: skip


def local_start(peer: Peer) -> float:
    """What the program needs to start and look at its configuration."""
    *words, host = peer.command
    return seconds([*words, "-G", host], peer.environment)


class Silence:
    """A host with a TCP listener alone, and a client that goes on with a program in ssh's place."""

    def __init__(self, folder: Path, wan: Wan, engine: str, port: int, *, answers: bool) -> None:
        self._port = port
        self._silent = folder / "home" / "state" / "qsh" / "silent"
        self.client = Client(folder / "home", engine, wan.server_address, port, wan.client,
                             programs()[0])  # fmt: skip
        place = folder / "bin"
        place.mkdir()
        (place / "ssh").write_text("#!/bin/sh\nexit 0\n")
        (place / "ssh").chmod(0o755)
        self._environment = without_source_tree(self.client.environment)
        self._environment["PATH"] = f"{place}:{self._environment['PATH']}"
        self._command = self.client.command("-o", "FallbackToSsh=yes", "host", "true")
        self._servers = [self._serve(wan, "STREAM")] + ([] if answers else [self._serve(wan, "")])

    def _serve(self, wan: Wan, kind: str) -> "subprocess.Popen[bytes]":
        code = MUTE.replace("SOCK_DGRAM", "SOCK_STREAM").replace("print(", "sock.listen(); print(")
        server = subprocess.Popen(
            [*wan.server, sys.executable, "-c", code if kind else MUTE, wan.server_address,
             str(self._port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert server.stdout is not None
        server.stdout.readline()
        return server

    def detection(self) -> float:
        shutil.rmtree(self._silent, ignore_errors=True)
        first = seconds(self._command, self._environment)
        return first - seconds(self._command, self._environment)

    def close(self) -> None:
        for server in self._servers:
            server.communicate()


def measure(folder: Path, engines: Sequence[str], rtts_ms: Sequence[int], repetitions: int
            ) -> list[dict[str, Any]]:  # fmt: skip
    """A row per thing measured: {"what", "values": {rtt_ms: [seconds beyond one round trip, …]}}.
    For root only."""
    if os.geteuid() != 0:
        raise SystemExit("tests.bench scripts: only root can emulate a network")
    rows: dict[str, dict[int, list[float]]] = {}
    (folder / "ctl").mkdir()
    with ExitStack() as stack:
        wan = stack.enter_context(Wan())
        peers = stack.enter_context(
            all_peers(folder, engines, wan.server_address, wan.client, wan.server)
        )
        runs: dict[str, Run] = {}
        for peer in peers:
            runs[f"{peer.name}: over a master"] = stack.enter_context(
                master_of(peer, folder / "ctl")
            )
            runs[f"{peer.name}: -G (no network)"] = lambda peer=peer: local_start(peer)
        for name, port in PORTS.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            silence = Silence(place, wan, engines[0], port, answers=name != "silence")
            stack.callback(silence.close)
            runs[f"no qshd, {name}: until ssh runs"] = silence.detection
        for rtt_ms in rtts_ms:
            wan.ctl(f"set delay={rtt_ms / 2}ms")
            for _ in range(repetitions):
                for name, run in runs.items():
                    way = 0 if "-G" in name else rtt_ms / 1e3
                    rows.setdefault(name, {}).setdefault(rtt_ms, []).append(run() - way)
    return [{"what": name, "values": values} for name, values in rows.items()]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians with spread, in ms beyond one round trip."""
    rtts = list(rows[0]["values"])
    lines = [["ms beyond one round trip, RTT", *(f"{rtt} ms" for rtt in rtts)]]
    for row in rows:
        cells = [row["what"]]
        for values in row["values"].values():
            low, high = spread(values)
            cells.append(f"{statistics.median(values) * 1e3:.0f} "
                         f"({low * 1e3:.0f}-{high * 1e3:.0f})")  # fmt: skip
        lines.append(cells)
    return text_table(lines)
