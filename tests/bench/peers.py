"""What is compared: a client's command line and the server it talks to, for ssh and for qsh."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import programs
from tests.integration.harness import (
    QSH,
    USER,
    Client,
    Daemon,
    clean_environment,
    make_key,
    public,
)  # fmt: skip
from tests.sources import ROOT

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Peer:
    """One of those compared. `command` ends with the host; what follows is the remote command."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    server_pid: int


@contextmanager
def all_peers(folder: Path, engines: Sequence[str], address: str = "127.0.0.1",
              client_prefix: Sequence[str] = (), server_prefix: Sequence[str] = (),
              ) -> Iterator[list[Peer]]:  # fmt: skip
    """ssh first, then qsh with each engine at both ends; their servers run meanwhile."""
    with ExitStack() as stack:
        peers = [stack.enter_context(ssh_peer(folder / "ssh", address, client_prefix,
                                              server_prefix))]  # fmt: skip
        for engine in engines:
            place = folder / engine
            peers.append(stack.enter_context(
                qsh_peer(place, engine, address, client_prefix, server_prefix)))  # fmt: skip
        yield peers


def without_source_tree(environment: dict[str, str]) -> dict[str, str]:
    """So that installed programs use what is installed."""
    if programs()[0] == list(QSH):
        return environment
    return {name: value for name, value in environment.items() if value != str(ROOT)}


@contextmanager
def qsh_peer(folder: Path, engine: str, address: str, client_prefix: Sequence[str],
             server_prefix: Sequence[str], settings: Sequence[str] = (),
             ) -> Iterator[Peer]:  # fmt: skip
    qsh, qshd = programs()
    daemon = Daemon(folder / "server", engine, ["LogLevel ERROR", "MaxStartups 100", *settings],
                    server_prefix, address, program=qshd)  # fmt: skip
    daemon.environment = without_source_tree(daemon.environment)
    daemon.start()
    try:
        client = Client(folder / "client", engine, address, daemon.port, client_prefix, qsh)
        client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
        daemon.authorize(public(client.key))
        yield Peer(f"qsh ({engine})", client.command("host"),
                   without_source_tree(client.environment), daemon.process.pid)  # fmt: skip
    finally:
        daemon.stop()


@contextmanager
def ssh_peer(folder: Path, address: str, client_prefix: Sequence[str],
             server_prefix: Sequence[str], settings: Sequence[str] = (),
             ) -> Iterator[Peer]:  # fmt: skip
    """OpenSSH with the same kind of keys; no PAM, no DNS: nothing that qsh does not do either."""
    folder.mkdir(parents=True)
    host_key, key = make_key(folder / "host_key"), make_key(folder / "id_ed25519")
    (folder / "authorized_keys").write_text(public(key) + "\n")
    port = free_port()
    (folder / "known_hosts").write_text(f"[{address}]:{port} {public(host_key)}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {host_key}\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n"
        "UseDNS no\nGSSAPIAuthentication no\nPrintMotd no\nPrintLastLog no\nMaxStartups 100\n"
        "LogLevel ERROR\n" + "".join(f"{line}\n" for line in settings)
    )
    (folder / "config").write_text(
        f"Host host\n  HostName {address}\n  Port {port}\n  User {USER}\n  IdentityFile {key}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
        "  GSSAPIAuthentication no\n  LogLevel ERROR\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([*server_prefix, SSHD, "-D", "-e", "-f", folder / "sshd_config"],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for_listener(server_prefix, address, port)
        yield Peer("ssh", [*client_prefix, "ssh", "-F", str(folder / "config"), "host"],
                   clean_environment(folder), server.pid)  # fmt: skip
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_listener(prefix: Sequence[str], address: str, port: int) -> None:
    probe = [*prefix, "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    for _ in range(100):
        if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError("sshd does not listen")
