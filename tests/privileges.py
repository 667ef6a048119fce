"""The rights of each of qshd's processes as the kernel tells them: `python -m tests.privileges`.

Starts a qshd of its own with one session and prints a row per
process: user, capabilities, seccomp mode, no_new_privs, open files other than sockets, and which
host keys it could open.
"""

import asyncio
import os
import pwd
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsh.quic.engine import available
from qsh.wire.start_messages import ExecRequest
from tests.bench.figures import text_table
from tests.integration.harness import Client, Daemon, public
from tests.integration.raw_client import connected, processes_of

OWN = ("qshd", "qshd-keys", "qshd-launcher", "qshd-monitor", "qshd-worker", "qshd-zygote",
       "qsh-holder")  # fmt: skip


@dataclass(frozen=True)
class Rights:
    """One process's. `root` is its root directory."""

    name: str
    user: str
    capabilities: int
    seccomp: int
    no_new_privileges: bool
    root: str
    files: tuple[str, ...]
    host_keys: tuple[str, ...]


def rights_of(pid: int, name: str, host_keys: Sequence[Path]) -> Rights:
    """From /proc; needs root for others' processes."""
    folder = Path(f"/proc/{pid}")
    status = dict(
        line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
        if ":\t" in line
    )  # fmt: skip
    uid = int(status["Uid"].split()[1])
    capabilities = int(status["CapEff"], 16)
    root = str((folder / "root").readlink())
    links = [str(link.readlink()) for link in (folder / "fd").iterdir() if link.is_symlink()]
    files = sorted({text for text in links if text.startswith("/") and text != "/dev/null"})
    return Rights(
        name, pwd.getpwuid(uid).pw_name, capabilities, int(status["Seccomp"]),
        status["NoNewPrivs"].strip() == "1", root, tuple(files),
        tuple(str(key) for key in host_keys if may_read(key, uid, capabilities, root)),
    )  # fmt: skip


def may_read(path: Path, uid: int, capabilities: int, root: str) -> bool:
    """Whether a process of that user could open the file."""
    if root != "/":
        return False
    status = path.stat()
    overrides = bool(capabilities & (1 << 1 | 1 << 2))  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    return overrides or (status.st_uid == uid and bool(status.st_mode & 0o400))


def look(daemon: Daemon, key: Path) -> list[Rights]:
    """Those of a daemon's own processes while one session runs."""

    async def whole() -> list[Rights]:
        async with connected(daemon, key) as client:
            channel = await client.session()
            assert await channel.request(ExecRequest(b"echo ready; exec sleep 60"))
            assert await channel.read() == b"ready\n"
            found = {**processes_of(daemon), daemon.process.pid: "qshd"}
            return [rights_of(pid, name, [daemon.host_key])
                    for pid, name in found.items() if name in OWN]  # fmt: skip

    return sorted(asyncio.run(whole()), key=lambda one: OWN.index(one.name))


def table(rows: Sequence[Rights]) -> str:
    """One line per process."""
    lines = [["process", "user", "capabilities", "seccomp", "no_new_privs", "root", "files",
              "host keys it may read"]]  # fmt: skip
    lines += [
        [one.name, one.user, f"{one.capabilities:x}", ("no", "strict", "filter")[one.seccomp],
         "yes" if one.no_new_privileges else "no", one.root, " ".join(one.files) or "-",
         str(len(one.host_keys))]
        for one in rows
    ]  # fmt: skip
    return text_table(lines)


def main() -> int:
    if os.geteuid() != 0:
        print("tests.privileges: only root may look into these processes", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="qsh-privileges-") as folder:
        daemon = Daemon(Path(folder) / "server", available()[0]).start()
        try:
            client = Client(Path(folder) / "client", available()[0], daemon.address, daemon.port)
            daemon.authorize(public(client.key))
            print(table(look(daemon, client.key)))
        finally:
            daemon.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
