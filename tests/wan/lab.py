"""The emulator as an object: a `with` block inside which two namespaces are joined by a WAN."""

import json
import subprocess
import sys
from typing import Any

from tests.sources import ROOT
from tests.wan.emulator import ask

ANNOUNCE = (
    "import json, os, sys; "
    "print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('WAN_')}), flush=True); "
    "sys.stdin.read()"
)
"""Runs beside the emulator: tells its names, then lives until its stdin ends."""


class Wan:
    """Two namespaces joined by a path with the given impairments, e.g.
    Wan(rtt="100ms", loss="1%", up="rate=5mbit"). Needs root and /dev/net/tun."""

    def __init__(self, *flags: str, **impairments: str) -> None:
        self._options = [
            *flags,
            *(f"--{key.replace('_', '-')}={value}" for key, value in impairments.items()),
        ]

    def __enter__(self) -> "Wan":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.wan", "run", *self._options, "--",
             sys.executable, "-c", ANNOUNCE],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the emulator did not start (status {self._process.wait()})")
        facts = json.loads(line)
        self.client, self.server = facts["WAN_CLIENT"].split(), facts["WAN_SERVER"].split()
        self.client_address = facts["WAN_CLIENT_ADDRESS"]
        self.server_address = facts["WAN_SERVER_ADDRESS"]
        self.server_ipv6, self.server_name = facts["WAN_SERVER_IPV6"], facts["WAN_SERVER_NAME"]
        self._control = facts["WAN_CTL"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ctl(self, request: str) -> str:
        """Change the path: `set loss=1%`, `blackout 5s`, … (python -m tests.wan ctl help)."""
        done, text = ask(self._control, request)
        if not done:
            raise ValueError(text)
        return text

    def public_address(self) -> str:
        """The client's address as the server sees it, behind a NAT."""
        words = self.ctl("show").split()
        return words[words.index("public") + 1]

    def stats(self) -> dict[str, Any]:
        """Counters of both directions."""
        report: dict[str, Any] = json.loads(self.ctl("stats"))
        return report
