"""Paths that lose and queue: bulk beside ssh, fairness beside one TCP flow, keys under own load.

Everything goes down, from the server, unless said otherwise: its end's congestion control counts.
TCP is cubic, Linux's default.
"""

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from tests.bench.figures import text_table
from tests.bench.peers import Peer, qsh_peer, ssh_peer
from tests.wan.lab import Wan

MEGABYTE = 1_000_000
LOSSY = [("20ms", "1%"), ("100ms", "1%")]
LOSSY_RATE = "100mbit"
SHARED_RATE, SHARED_RTT, QUEUE = "20mbit", "50ms", "100ms"
SECONDS = 10.0
FAIRNESS_SECONDS = 20.0
WARM_UP = 2.0
"""Seconds of bulk before keys are pressed."""
KEYS = 100
KEY_PAUSE = 0.03
"""Seconds from an echo to the next key."""
ECHO_LIMIT = 10.0
PORT = 5211
FLOOD = "exec cat /dev/zero"


@contextlib.contextmanager
def contenders(folder: Path, wan: Wan, engines: Sequence[str]) -> Iterator[list[Peer]]:
    """ssh, and qsh with each engine; with the native one also by BBR, at both ends."""
    for prefix in (wan.client, wan.server):
        routes = subprocess.run([*prefix, "ip", "route", "show"], capture_output=True, text=True)
        for route in routes.stdout.splitlines():
            subprocess.run([*prefix, "ip", "route", "change", *route.split(), "congctl", "cubic"],
                           check=True)  # fmt: skip
    places = (wan.server_address, wan.client, wan.server)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(ssh_peer(folder / "ssh", *places))]
        for engine in engines:
            for control in ("cubic", "bbr") if engine == "quinn" else ("cubic",):
                setting = [f"CongestionControl {control}"]
                peer = stack.enter_context(
                    qsh_peer(folder / f"{engine}-{control}", engine, *places, setting))
                command = [*peer.command[:-1], "-o", f"CongestionControl={control}", "host"]
                peers.append(replace(peer, name=f"{peer.name} {control}", command=command))
        yield peers


@contextlib.contextmanager
def running(peer: Peer, command: str = "", options: Sequence[str] = (),
            stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE,
            ) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """The peer's client with this command, ended with the block."""
    words = [*peer.command[:-1], *options, peer.command[-1], *([command] if command else [])]
    process = subprocess.Popen(words, env=peer.environment, stdin=stdin, stdout=stdout)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def read_for(pipe: IO[bytes], seconds: float) -> int:
    """How many bytes come within that time, counted from the first."""
    descriptor, count = pipe.fileno(), len(os.read(pipe.fileno(), 1))
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            data = os.read(descriptor, 1 << 16)
            if not data:
                raise RuntimeError("the transfer ended too soon")
            count += len(data)
    return count


def bulk(peer: Peer, seconds: float = SECONDS) -> float:
    """MB/s of the first seconds of a transfer."""
    with running(peer, FLOOD) as client:
        assert client.stdout
        return read_for(client.stdout, seconds) / seconds / MEGABYTE


def share(wan: Wan, peer: Peer) -> float:
    """What a transfer gets of what it and one TCP flow in the same direction move together."""
    server = subprocess.Popen([*wan.client, "iperf3", "-s", "-1", "-p", str(PORT)],
                              stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        time.sleep(0.3)
        with running(peer, FLOOD) as client:
            assert client.stdout
            os.read(client.stdout.fileno(), 1)  # both begin together
            flow = subprocess.Popen(
                [*wan.server, "iperf3", "-J", "-c", wan.client_address, "-p", str(PORT),
                 "-t", f"{FAIRNESS_SECONDS:.0f}"], stdout=subprocess.PIPE)  # fmt: skip
            ours = read_for(client.stdout, FAIRNESS_SECONDS)
            report, _ = flow.communicate()
    finally:
        server.terminate()
        server.wait()
    theirs = int(json.loads(report)["end"]["sum_received"]["bytes"])
    return ours / (ours + theirs)


def keys_under_load(folder: Path, peer: Peer, direction: str) -> list[float]:
    """Seconds from each key to its echo, beside a full transfer by the same connection."""
    socket = folder / "master"
    shared = ["-S", str(socket)]
    with running(peer, "", ["-M", *shared, "-N"], stdout=subprocess.DEVNULL):
        while not socket.exists():
            time.sleep(0.05)
        with (
            open("/dev/zero", "rb") as zeros,
            running(peer, "cat >/dev/null" if direction == "upload" else FLOOD, shared,
                    zeros.fileno() if direction == "upload" else subprocess.DEVNULL,
                    subprocess.DEVNULL),
            running(peer, "stty raw -echo; echo ready; exec cat", [*shared, "-tt"],
                    subprocess.PIPE) as typist,
        ):  # fmt: skip
            assert typist.stdin is not None
            assert typist.stdout is not None
            _echo(typist.stdout, b"ready")
            time.sleep(WARM_UP)
            while select.select([typist.stdout], [], [], 0)[0]:
                os.read(typist.stdout.fileno(), 100)
            return [_key(typist.stdin, typist.stdout) for _ in range(KEYS)]


def _key(keyboard: IO[bytes], screen: IO[bytes]) -> float:
    begin = time.monotonic()
    os.write(keyboard.fileno(), b"k")
    _echo(screen, b"k")
    seconds = time.monotonic() - begin
    time.sleep(KEY_PAUSE)
    return seconds


def _echo(screen: IO[bytes], expected: bytes) -> None:
    seen = b""
    while expected not in seen:
        if not select.select([screen], [], [], ECHO_LIMIT)[0]:
            raise RuntimeError(f"no echo within {ECHO_LIMIT:.0f} s")
        seen += os.read(screen.fileno(), 4096)


def measure(folder: Path, engines: Sequence[str], repetitions: int, parts: Sequence[str]
            ) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of (what, peer, unit, values). `parts`: of `bulk`, `fairness`, `keys`."""
    found: dict[tuple[str, str, str], list[float]] = {}

    def note(what: str, peer: Peer, unit: str, values: Sequence[float]) -> None:
        found.setdefault((what, peer.name, unit), []).extend(values)
        print(f"{what}, {peer.name}: {statistics.median(values):.2f} {unit}, most "
              f"{max(values):.2f}", file=sys.stderr, flush=True)  # fmt: skip

    with (Wan(rtt=LOSSY[0][0], rate=LOSSY_RATE) as wan,
          contenders(folder, wan, engines) as peers):  # fmt: skip
        for _ in range(repetitions):
            for rtt, loss in LOSSY if "bulk" in parts else ():
                wan.ctl(f"set delay={int(rtt[:-2]) / 2}ms loss={loss} rate={LOSSY_RATE}")
                for peer in peers:
                    note(f"bulk, {rtt}, {loss} loss", peer, "MB/s", [bulk(peer)])
            wan.ctl(f"set delay={int(SHARED_RTT[:-2]) / 2}ms loss=0 rate={SHARED_RATE} "
                    f"queue={QUEUE}")  # fmt: skip
            for peer in peers:
                if "fairness" in parts:
                    note("share beside TCP", peer, "%", [100 * share(wan, peer)])
                for direction in ("upload", "download") if "keys" in parts else ():
                    with tempfile.TemporaryDirectory(prefix="keys-", dir=folder) as place:
                        seconds = keys_under_load(Path(place), peer, direction)
                    note(f"key under {direction}", peer, "ms", [1000 * s for s in seconds])
    return [{"what": what, "peer": peer, "unit": unit, "values": values}
            for (what, peer, unit), values in found.items()]  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians with their spread; of keys the 99th percentile, too."""
    lines = [["emulated path", "peer", "median", "least-most", "99 %"]]
    for row in rows:
        values = sorted(row["values"])
        high = values[min(len(values) - 1, int(len(values) * 0.99))]
        lines.append([row["what"], row["peer"], f"{statistics.median(values):.2f} {row['unit']}",
                      f"{values[0]:.2f}-{values[-1]:.2f}",
                      f"{high:.0f}" if row["unit"] == "ms" else "-"])  # fmt: skip
    note = (f"bulk: {LOSSY_RATE}, first {SECONDS:.0f} s; else {SHARED_RATE}, {SHARED_RTT}, "
            f"queue {QUEUE}")  # fmt: skip
    return f"{note}\n{text_table(lines)}"
