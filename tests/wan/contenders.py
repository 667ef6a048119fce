"""The programs that roaming.py compares, each on its own path: qsh by each engine, and mosh."""

import re
import shutil
import subprocess
from pathlib import Path

from qsh.quic.engine import available
from tests.integration.harness import Client, Daemon, public
from tests.wan.lab import Wan
from tests.wan.sessions import Copy, Typing

READY = "ready"
CAT = f"echo {READY}; exec cat"
TICKS = f"echo {READY}; n=1000; while sleep 0.1; do n=$((n+1)); echo $n; done"
PORT = 4422
"""The same for IPv4 and IPv6."""
MOSH_PORTS = "60001:60999"


class Qsh:
    """qshd at the far end, qsh at the near one, the same engine at both."""

    def __init__(self, engine: str, wan: Wan, folder: Path) -> None:
        self.name = f"qsh, {'native engine' if engine == 'quinn' else engine}"
        self._wan = wan
        listen = [f"ListenAddress {wan.server_address}", f"ListenAddress {wan.server_ipv6}"]
        self.daemon = Daemon(folder / "far", engine, settings=listen, prefix=wan.server,
                             address=wan.server_address, requested_port=PORT).start()  # fmt: skip
        self._client = Client(folder / "near", engine, wan.server_name, self.daemon.port,
                              wan.client)  # fmt: skip
        line = self.daemon.known_hosts_line().replace(wan.server_address, wan.server_name)
        self._client.known_hosts.write_text(line + "\n")
        self.daemon.authorize(public(self._client.key))

    def types(self, command: str, *options: str) -> Typing:
        """A terminal with this running; empty for what the options lead to."""
        words = self._client.command("-tt", *options, "host", *([command] if command else []))
        return Typing(words, self._client.environment | {"TERM": "xterm"})

    def copies(self, data: bytes) -> Copy:
        """The data goes there and back."""
        return Copy(self._client.start("host", "exec cat", stderr=subprocess.DEVNULL), data)

    def stop(self) -> None:
        """End the daemon."""
        self.daemon.stop()


class Mosh:
    """mosh-server and mosh-client, started without ssh, and without guesses."""

    name = "mosh"

    def __init__(self, wan: Wan, folder: Path) -> None:
        self._wan = wan
        self._environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TERM": "xterm",
                             "LC_ALL": "C.UTF-8", "MOSH_PREDICTION_DISPLAY": "never"}  # fmt: skip

    def types(self, command: str) -> Typing:
        """A terminal with this running."""
        server = [*self._wan.server, "mosh-server", "new", "-i", self._wan.server_address, "-p",
                  MOSH_PORTS, "--", "sh", "-c", command]  # fmt: skip
        said = subprocess.run(server, env=self._environment, capture_output=True, text=True,
                              check=True, timeout=20).stdout  # fmt: skip
        found = re.search(r"MOSH CONNECT (\d+) (\S+)", said)
        assert found, said
        client = [*self._wan.client, "mosh-client", self._wan.server_address, found[1]]
        return Typing(client, self._environment | {"MOSH_KEY": found[2]})

    def stop(self) -> None:
        """The emulator ends what runs in its namespaces."""


def contenders() -> list[str]:
    """The engines that there are, and mosh where it is installed."""
    return [*available(), *(["mosh"] if shutil.which("mosh-server") else [])]


def contender(name: str, wan: Wan, folder: Path) -> Qsh | Mosh:
    """Started, ready for sessions."""
    return Mosh(wan, folder) if name == "mosh" else Qsh(name, wan, folder)
