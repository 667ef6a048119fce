"""Measure qsh beside OpenSSH, in one run on one machine.

    python -m tests.bench connect    `HOST true`: fixed cost and round trips
    python -m tests.bench bulk       `HOST 'cat >/dev/null'` and back: MB/s, CPU seconds per GB
    python -m tests.bench forward    -L: MB/s, requests and connections; datagrams per second
    python -m tests.bench tunnel     TCP inside -w, on a path that loses packets (root only)
    python -m tests.bench wan        bulk, fairness and keys on emulated paths (root only)
    python -m tests.bench scripts    a command over a live master; the wait for ssh (root only)
    python -m tests.bench sessions   idle sessions: memory, CPU; logins per second

A real sshd and a real qshd run side by side, each with its own keys in a temporary folder. As root
`connect` measures over an emulated network at several round-trip times, otherwise on loopback.
The programs are those installed beside this Python (`pip install .`), else those of this tree.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qsh.quic.engine import available
from tests.bench import bulk, connect, forward, scripts, sessions, tunnel, wan
from tests.bench.machine import machine_line, programs
from tests.integration.harness import missing_programs

ETHERNET_MTU = 1500


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("what", choices=("connect", "bulk", "forward", "tunnel", "sessions",
                                         "scripts", "wan"))
    parser.add_argument("--repetitions", type=int,
                        help="default: 20 for connect, 5 for bulk, 3 for forward")
    parser.add_argument("--count", type=int, default=100, help="sessions (default: 100)")
    parser.add_argument("--rtt", type=int, nargs="+", default=[0, 50, 100, 200], metavar="MS",
                        help="round-trip times for connect (root only; default: 0 50 100 200)")
    parser.add_argument("--size", type=int, default=256, metavar="MB", help="for bulk and forward")
    parser.add_argument("--mtu", type=int, metavar="BYTES",
                        help="for bulk: on a loopback with this MTU (root only)")
    parser.add_argument("--rate", type=int, default=50_000, metavar="N",
                        help="datagrams to send per second, for forward (default: 50000)")
    parser.add_argument("--part", action="append", choices=("bulk", "fairness", "keys"),
                        help="for wan: this only (default: all)")
    parser.add_argument("--engine", action="append", choices=available(),
                        help="measure with this engine only (default: all that are installed)")
    parser.add_argument("--json", metavar="FILE", help="also append the result with all values")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path, engines: Sequence[str]
            ) -> tuple[list[dict[str, Any]], str]:  # fmt: skip
    """What was asked for: its rows, and the table of them."""
    def times(default: int) -> int:
        return int(options.repetitions or default)

    match options.what:
        case "connect":
            rows = connect.measure(folder, engines, options.rtt, times(20))
            return rows, connect.table(rows)
        case "scripts":
            rows = scripts.measure(folder, engines, options.rtt, times(10))
            return rows, scripts.table(rows)
        case "sessions":
            rows = sessions.measure(folder, engines, options.count, times(40))
            return rows, sessions.table(rows)
        case "forward":
            rows = forward.measure(folder, engines, options.size, times(3), options.rate)
            return rows, forward.table(rows)
        case "wan":
            parts = options.part or ("bulk", "fairness", "keys")
            rows = wan.measure(folder, engines, times(1), parts)
            return rows, wan.table(rows)
        case "tunnel":
            rows = tunnel.measure(folder, engines, times(1))
            return rows, tunnel.table(rows)
    payload = (options.mtu or ETHERNET_MTU) - bulk.IPV4_UDP_HEADERS
    rows = bulk.measure(folder, engines, options.size, times(5), payload)
    return rows, bulk.table(rows)


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    if missing := missing_programs("ssh", "ssh-keygen", "/usr/sbin/sshd"):
        print(f"tests.bench: not installed here: {', '.join(missing)}", file=sys.stderr)
        return 1
    engines = options.engine or available()
    print(machine_line(), f"MTU {options.mtu}" if options.mtu else "")
    if options.mtu:
        bulk.enter_loopback(options.mtu)
    with tempfile.TemporaryDirectory(prefix="qsh-bench-") as folder:
        rows, table = measure(options, Path(folder), engines)
    print(table)
    if options.json:
        report = {"what": options.what, "date": datetime.now(UTC).isoformat(timespec="seconds"),
                  "machine": machine_line(), "programs": programs(), "rows": rows}  # fmt: skip
        with open(options.json, "a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
