"""Idle sessions: memory and CPU of all of a server's processes, and logins per second.

Memory is PSS (proportional set size), so that what processes share counts once. What the user's
own program takes (`sleep`) is left out for both.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.figures import text_table
from tests.bench.peers import Peer, all_peers

MARK = "exec sleep 86400"
PATIENCE = 120.0
QUIET_SECONDS = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


def processes_below(pid: int) -> list[int]:
    """The process and its descendants."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                tail = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2]
            except OSError:
                continue
            parents[int(name)] = int(tail.split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def of_the_server(pid: int) -> list[int]:
    """The same without what users run."""
    return [one for one in processes_below(pid) if name_of(one) not in ("sleep", "sh", "bash")]


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def memory(pids: Sequence[int]) -> float:
    """Kilobytes of PSS, all together."""
    total = 0
    for pid in pids:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return float(total)


def processor_seconds(pids: Sequence[int]) -> float:
    """What the processes have used so far."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def sleepers(pid: int) -> int:
    return sum(name_of(one) == "sleep" for one in processes_below(pid))


def measure_peer(peer: Peer, count: int, logins: int) -> dict[str, Any]:
    """One server: with no session, with `count`, and with nothing but logins."""
    options = {"env": peer.environment, "stdin": subprocess.DEVNULL,
               "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # fmt: skip
    subprocess.run([*peer.command, "true"], **options, check=True)
    time.sleep(1)
    empty = memory(of_the_server(peer.server_pid))
    with ExitStack() as stack:
        for number in range(count):
            process = stack.enter_context(subprocess.Popen([*peer.command, MARK], **options))
            stack.callback(process.terminate)
            wait_for(lambda number=number: sleepers(peer.server_pid) > number)
        time.sleep(2)
        server = of_the_server(peer.server_pid)
        full, before = memory(server), processor_seconds(server)
        time.sleep(QUIET_SECONDS)
        used = processor_seconds(server) - before
    wait_for(lambda: sleepers(peer.server_pid) == 0)
    return {
        "peer": peer.name, "sessions": count, "kB per session": (full - empty) / count,
        "idle CPU %": 100 * used / QUIET_SECONDS, "logins/s": logins_per_second(peer, logins),
    }  # fmt: skip


def wait_for(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("the sessions do not come up, or do not end")
        time.sleep(0.05)


def logins_per_second(peer: Peer, count: int, at_once: int = 4) -> float:
    """`HOST true`, several at once. The clients' own cost is in it."""
    def one(_: int) -> None:
        subprocess.run([*peer.command, "true"], env=peer.environment, check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)  # fmt: skip

    begin = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(count)))
    return count / (time.monotonic() - begin)


def measure(folder: Path, engines: Sequence[str], count: int, logins: int
            ) -> list[dict[str, Any]]:  # fmt: skip
    """A row per peer."""
    with all_peers(folder, engines) as peers:
        return [measure_peer(peer, count, logins) for peer in peers]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per peer."""
    lines = [["idle sessions", "PSS per session", "CPU of all, idle", "logins per second"]]
    for row in rows:
        lines.append([
            f"{row['peer']}, {row['sessions']}", f"{row['kB per session'] / 1024:.2f} MiB",
            f"{row['idle CPU %']:.2f} %", f"{row['logins/s']:.1f}",
        ])  # fmt: skip
    return text_table(lines)
