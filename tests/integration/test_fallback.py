"""FallbackToSsh: a host with sshd and without qshd, found out fast; never at the cost of trust."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.forward_peers import free_port, wait_for_port
from tests.integration.harness import USER, Client, make_key, public

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = [
    pytest.mark.one_pair,
    pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="needs OpenSSH's sshd"),
]


@pytest.fixture
def sshd(tmp_path):
    """A real sshd on TCP only, and a client whose `Host host` is it: what `alias ssh=qsh` meets."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port, folder = free_for_both(), tmp_path / "sshd"
    folder.mkdir()
    key = make_key(folder / "host_key")
    client = Client(tmp_path / "home", "aioquic", "127.0.0.1", port)
    authorized = folder / "authorized_keys"
    authorized.write_text(public(client.key) + "\n")
    client.known_hosts.write_text(f"[127.0.0.1]:{port} {public(key)}\n")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nAuthorizedKeysFile {authorized}\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nAllowUsers {USER}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=log)
    wait_for_port(port)
    yield client
    process.terminate()
    process.wait()


def free_for_both():
    """A port that nobody has, neither by TCP nor by UDP."""
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


NETCAT = """
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := sock.recv(65536):
    os.write(1, data)
"""


def state(client, *names):
    return Path(client.environment["XDG_STATE_HOME"], "qsh", *names)


class TestFallback:
    def test_the_systems_ssh_runs_with_the_same_arguments(self, sshd):
        done = sshd("-o", "ServerAliveInterval=3", "host", "cat; exit 7", stdin=b"hello")
        assert (done.status, done.stdout) == (7, b"hello"), done.stderr

    def test_it_is_found_out_at_once_and_then_known(self, sshd):
        took = []
        for _ in range(2):
            start = time.monotonic()
            assert sshd("host", "true").status == 0
            took.append(time.monotonic() - start)
        assert took[0] < 5  # a refused port; the programs' own start is most of it
        assert list(state(sshd, "silent").iterdir())

    def test_silence_is_borne_for_a_third_of_a_second(self, sshd):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", sshd.port))
            done = sshd("-v", "host", "echo by ssh")
        assert done.stdout == b"by ssh\n", done.stderr
        assert "nothing answers" in done.stderr or "no qshd" in done.stderr

    def test_no_means_no(self, sshd):
        done = sshd("-o", "FallbackToSsh=no", "host", "true")
        assert done.status == 255
        assert "no qshd listens there" in done.stderr

    def test_a_host_that_had_qshd_is_warned_about(self, sshd):
        known = state(sshd, "servers", f"127.0.0.1:{sshd.port}")
        for folder in (known.parents[1], known.parent):
            folder.mkdir(parents=True, mode=0o700)
        known.touch()
        done = sshd("host", "echo x")
        assert done.stdout == b"x\n"
        assert "WARNING: host had qshd before" in done.stderr

    def test_what_ssh_cannot_do_is_said(self, sshd):
        done = sshd("-L", "udp/5353:127.0.0.1:53", "host", "true")
        assert done.status == 255
        assert "ssh forwards no UDP" in done.stderr


    def test_a_proxycommand_that_leads_to_sshd(self, sshd, tmp_path):
        script = tmp_path / "netcat.py"
        script.write_text(NETCAT)
        sshd.configure(f"ProxyCommand {sys.executable} {script} %h %p")
        done = sshd("host", "cat; exit 7", stdin=b"hello")
        assert (done.status, done.stdout) == (7, b"hello"), done.stderr
        done = sshd("-o", "FallbackToSsh=no", "host", "true")
        assert done.status == 255
        assert "an SSH server is at its other end, and no qshd" in done.stderr

    @pytest.mark.parametrize("kind", ["script", "script that waits", "link"])
    def test_qsh_in_sshs_place_finds_the_systems_ssh(self, sshd, tmp_path, kind):
        own = tmp_path / "bin"
        own.mkdir()
        qsh, ssh = own / "qsh", own / "ssh"
        qsh.write_text(f"#!{sys.executable}\nfrom qsh.client.main import main\nmain()\n")
        ssh.write_text(f'#!/bin/sh\n{"" if "waits" in kind else "exec "}{qsh} "$@"\n')
        if kind == "link":
            ssh.unlink()
            ssh.symlink_to(qsh)
        for file in (qsh, ssh):
            file.chmod(0o755)
        sshd.program = (str(ssh),)
        sshd.environment["PATH"] = f"{own}:{os.environ['PATH']}"
        done = sshd("host", "echo by sshd; exit 7", timeout=60)
        assert (done.status, done.stdout) == (7, b"by sshd\n"), done.stderr

    def test_the_users_own_ignoreunknown_counts_for_ssh_too(self, sshd):
        sshd.configure("IgnoreUnknown UseKeychain,Obscure*", "UseKeychain yes",
                       "VersionAddendum a laptop")  # fmt: skip
        assert sshd("host", "echo by ssh").stdout == b"by ssh\n"


class TestNoFallback:
    def test_success_is_remembered(self, qsh):
        assert qsh("host", "true").status == 0
        assert state(qsh, "servers", f"127.0.0.1:{qsh.port}").exists()

    def test_a_wrong_key_never_leads_to_ssh(self, qsh, daemon, tmp_path):
        other = make_key(tmp_path / "other")
        qsh.known_hosts.write_text(f"[127.0.0.1]:{qsh.port} {public(other)}\n")
        with socket.create_server(("127.0.0.1", qsh.port)):
            done = qsh("-v", "-o", "FallbackToSsh=yes", "host", "true")
        assert done.status == 255
        assert "host key" in done.stderr.lower()
        assert "running" not in done.stderr

    def test_where_nothing_is_there_is_nothing_to_fall_back_to(self, new_client, daemon):
        client = new_client(daemon)
        done = client("-p", str(free_port()), "host", "true")
        assert done.status == 255
        assert "no qshd listens there" in done.stderr
