"""Tunnels: TCP inside `-w`, over an emulated path that loses packets, beside `ssh -w` and the
path itself without a tunnel.

A tunnel of datagrams shows the path's loss to the TCP inside, which then does what it would do
without a tunnel: CUBIC stays at about MSS / RTT * 1.2 / sqrt(loss) (Mathis et al., 1997), BBR does
not mind. A tunnel over TCP hides the loss, and is itself held to that figure.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import spread, text_table
from tests.bench.peers import Peer, qsh_peer, ssh_peer
from tests.wan.lab import Wan

RTT, RATE = "40ms", "100mbit"
LOSSES = (0, 0.5, 2)
"""Percent, each way."""
SECONDS = 6
NEAR, FAR, PORT = "10.98.0.1", "10.98.0.2", 5210
CONTROLS = ("cubic", "bbr")
"""Of the TCP inside; TCP outside, where there is one, is always cubic, Linux's default."""
READY = 20.0


@contextlib.contextmanager
def tunnel(wan: Wan, peer: Peer, numbers: tuple[int, int]) -> Iterator[None]:
    """A running tunnel with addresses at both ends."""
    near, far = numbers
    command = [*peer.command[:-1], "-N", "-o", "ExitOnForwardFailure=yes",
               "-w", f"{near}:{far}", peer.command[-1]]  # fmt: skip
    process = subprocess.Popen(command, env=peer.environment, stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for prefix, device, address, other in (
            (wan.client, f"tun{near}", NEAR, FAR), (wan.server, f"tun{far}", FAR, NEAR),
        ):  # fmt: skip
            _wait_for(prefix, device)
            _run(prefix, f"ip addr add {address} peer {other} dev {device} && "
                         f"ip link set {device} up")  # fmt: skip
        time.sleep(2.0)  # the path's size is known by then
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(prefix: Sequence[str], device: str) -> None:
    end = time.monotonic() + READY
    while subprocess.run([*prefix, "ip", "link", "show", device], capture_output=True).returncode:
        if time.monotonic() > end:
            raise RuntimeError(f"no {device}")
        time.sleep(0.1)


def _run(prefix: Sequence[str], command: str) -> str:
    done = subprocess.run([*prefix, "sh", "-c", command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def throughput(wan: Wan, control: str, far: str = FAR) -> float:
    """Megabits per second that arrive at `far`, by default through the tunnel."""
    server = subprocess.Popen([*wan.server, "iperf3", "-s", "-1", "-B", far, "-p", str(PORT)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        time.sleep(0.5)
        report = _run(wan.client, f"iperf3 -J -c {far} -p {PORT} -t {SECONDS} -C {control}")
    finally:
        server.terminate()
        server.wait()
    return float(json.loads(report)["end"]["sum_received"]["bits_per_second"]) / 1e6


def measure(folder: Path, engines: Sequence[str], repetitions: int) -> list[dict[str, Any]]:
    """One row per peer, control and loss."""
    rows: dict[tuple[str, str, float], list[float]] = {}
    with Wan(rtt=RTT, rate=RATE) as wan, contextlib.ExitStack() as stack:
        for prefix in (wan.client, wan.server):
            for route in _run(prefix, "ip route show").splitlines():
                _run(prefix, f"ip route change {route} congctl cubic")
        places = (wan.server_address, wan.client, wan.server)
        permit = ["PermitTunnel yes"]
        peers = [stack.enter_context(ssh_peer(folder / "ssh", *places, permit))]
        for engine in engines:
            peers.append(stack.enter_context(qsh_peer(folder / engine, engine, *places, permit)))
        for number in range(repetitions):
            _every_way(wan, rows, "no tunnel", wan.server_address)
            for place, peer in enumerate(peers):
                wan.ctl("set loss=0")
                with tunnel(wan, peer, (10 * number + place, 10 * number + place + 500)):
                    _every_way(wan, rows, peer.name, FAR)
    return [{"peer": peer, "control": control, "loss": loss, "mbit": values}
            for (peer, control, loss), values in rows.items()]  # fmt: skip


def _every_way(wan: Wan, rows: dict[tuple[str, str, float], list[float]], name: str, far: str
               ) -> None:  # fmt: skip
    for loss in LOSSES:
        wan.ctl(f"set loss={loss}%")
        for control in CONTROLS:
            found = rows.setdefault((name, control, loss), [])
            found.append(throughput(wan, control, far))


def table(rows: list[dict[str, Any]]) -> str:
    """Medians, and the spread."""
    found = {(row["peer"], row["control"], row["loss"]): row["mbit"] for row in rows}
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    head = [f"TCP in -w, {RATE}, {RTT}"]
    head += [f"{control}, {loss} % loss" for loss in LOSSES for control in CONTROLS]
    lines = [head]
    for peer in peers:
        cells = []
        for loss in LOSSES:
            for control in CONTROLS:
                values = sorted(found[peer, control, loss])
                low, high = spread(values)
                cells.append(f"{values[len(values) // 2]:.1f} ({low:.1f}-{high:.1f}) Mbit/s")
        lines.append([peer, *cells])
    return text_table(lines)
