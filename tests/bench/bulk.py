"""How fast bytes go up and come down on loopback, and what they cost in CPU time.

With an MTU it is measured on a loopback of its own: in a network namespace, whose packets are as
large as an Ethernet's. Where cargo is, a row tells what quinn alone moves (native/examples).
"""

import ctypes
import json
import os
import re
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.cpu_account import CpuAccount
from tests.bench.figures import spread, text_table
from tests.bench.peers import Peer, all_peers
from tests.native_engine import NATIVE, cache_folder, has_cargo
from tests.pair import unattested

MEGABYTE = 1_000_000
SETTLE_SECONDS = 0.3
"""For a server to end the processes of a connection."""
CLONE_NEWNET = 0x40000000
IPV4_UDP_HEADERS = 28
LIMIT_SECONDS = 600


def random_file(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(os.urandom(min(size, MEGABYTE)))
    return path


def enter_loopback(mtu: int) -> None:
    """Move this process, and so all that it starts, to a loopback with this MTU. Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "mtu", str(mtu), "up"], check=True)


def client_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def transfer(peer: Peer, direction: str, file: Path, account: CpuAccount) -> dict[str, float]:
    """One transfer of the file: seconds from start to exit, and CPU seconds of both ends."""
    remote = "cat >/dev/null" if direction == "upload" else f"cat {file}"
    server, client = account.seconds(), client_cpu_seconds()
    begin = time.monotonic()
    with open(file if direction == "upload" else os.devnull, "rb") as source:
        done = subprocess.run([*peer.command, remote], stdin=source, stdout=subprocess.DEVNULL,
                              env=peer.environment, timeout=LIMIT_SECONDS)  # fmt: skip
    seconds = time.monotonic() - begin
    if done.returncode:
        raise RuntimeError(f"{peer.name}: status {done.returncode}")
    time.sleep(SETTLE_SECONDS)
    client = client_cpu_seconds() - client
    server = account.seconds() - server
    return {"seconds": seconds, "client_cpu": client,
            "server_cpu": server - client if account.counts_all else server}  # fmt: skip


def datagrams_per_call(peer: Peer, direction: str, file: Path) -> float | None:
    """What one system call of the client's carries, as its log tells; None for ssh."""
    if peer.name == "ssh":
        return None
    remote = "cat >/dev/null" if direction == "upload" else f"cat {file}"
    with open(file if direction == "upload" else os.devnull, "rb") as source:
        done = subprocess.run([*peer.command[:-1], "-vv", peer.command[-1], remote], stdin=source,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env=peer.environment, timeout=LIMIT_SECONDS)  # fmt: skip
    way = "sent" if direction == "upload" else "received"
    found = re.search(rf"(\d+) datagrams {way} in (\d+) calls", done.stderr)
    return int(found[1]) / int(found[2]) if found else None


def quinn_alone(folder: Path, size_mb: int, payload: int, repetitions: int
                ) -> dict[str, Any] | None:  # fmt: skip
    """A row for quinn without Python and without a program around it; None without cargo."""
    if not has_cargo():
        return None
    target = cache_folder() / "target"
    subprocess.run(
        ["cargo", "build", "-q", "--release", "--no-default-features", "--example", "quinn_alone"],
        cwd=NATIVE, env=os.environ | {"CARGO_TARGET_DIR": str(target)}, check=True)  # fmt: skip
    certificate, key = folder / "certificate.der", folder / "key.pk8"
    certificate.write_bytes(unattested().certificate_der)
    key.write_bytes(unattested().private_key_der)
    values, calls = [], []
    for _ in range(repetitions):
        line = subprocess.run(
            [target / "release/examples/quinn_alone", certificate, key, str(size_mb), str(payload)],
            capture_output=True, text=True, check=True).stdout  # fmt: skip
        found = json.loads(line)
        values.append({"seconds": found["seconds"], "client_cpu": found["sender_cpu"],
                       "server_cpu": found["receiver_cpu"]})  # fmt: skip
        calls.append(found["sender_datagrams"] / found["sender_calls"])
    return {"peer": "quinn alone", "direction": "upload", "size_mb": size_mb, "values": values,
            "datagrams_per_call": statistics.median(calls)}  # fmt: skip


def measure(folder: Path, engines: Sequence[str], size_mb: int, repetitions: int, payload: int
            ) -> list[dict[str, Any]]:  # fmt: skip
    """A row per peer and direction, with all values; peers take turns. `payload`: bytes of the
    datagrams that quinn alone sends."""
    file = random_file(folder / "random", size_mb * MEGABYTE)
    alone = quinn_alone(folder, size_mb, payload, repetitions)
    with CpuAccount() as account, all_peers(folder, engines, server_prefix=account.prefix) as peers:
        rows: list[dict[str, Any]] = [
            {"peer": peer.name, "direction": direction, "size_mb": size_mb, "values": []}
            for direction in ("upload", "download") for peer in peers
        ]  # fmt: skip
        by_name = {peer.name: peer for peer in peers}
        for _ in range(repetitions):
            for row in rows:
                row["values"].append(transfer(
                    by_name[row["peer"]], row["direction"], file, account))  # fmt: skip
        for row in rows:
            row["datagrams_per_call"] = datagrams_per_call(
                by_name[row["peer"]], row["direction"], file)  # fmt: skip
    return [*rows, *([alone] if alone else [])]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians; connecting is included in the time."""
    size = rows[0]["size_mb"]
    lines = [["loopback", "direction", "MB/s", "spread", "CPU s/GB client", "CPU s/GB server",
              "datagrams/call"]]  # fmt: skip
    for row in rows:
        rates = [size / value["seconds"] for value in row["values"]]
        low, high = spread(rates)
        cpu = [statistics.median(v[side] for v in row["values"]) * 1000 / size
               for side in ("client_cpu", "server_cpu")]  # fmt: skip
        calls = row["datagrams_per_call"]
        lines.append([row["peer"], row["direction"], f"{statistics.median(rates):.0f}",
                      f"{low:.0f}-{high:.0f}", f"{cpu[0]:.2f}", f"{cpu[1]:.2f}",
                      f"{calls:.1f}" if calls else "-"])  # fmt: skip
    runs = len(rows[0]["values"])
    return f"{size} MB, medians of {runs}, connecting included\n{text_table(lines)}"
