"""VerifyHostKeyDNS: host keys by a real name server (unbound) that validates by DNSSEC.

`signed.example` is signed and the server has its trust anchor; `bare.example` is not signed. The
programs run in a network namespace whose resolv.conf names that server.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.harness import Client, Daemon, make_key, missing_programs, public
from tests.pty_process import PtyProcess
from tests.wan.namespace import ip, remove_namespace

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.one_pair]

CONFIG = """
server:
  interface: 127.0.0.1
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  trust-anchor-file: "{folder}/anchor"
remote-control:
  control-enable: no
"""
ZONE = """
auth-zone:
  name: "{name}"
  zonefile: "{file}"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""


@pytest.fixture
def namespace(tmp_path):
    """A network namespace without a network, where names are asked of 127.0.0.1."""
    if os.geteuid() or (missing := missing_programs("unbound", "ldns-signzone", "ip")):
        pytest.skip(f"needs root and {missing}")
    name = f"qsh-dns-{os.getpid()}"
    folder = Path("/etc/netns") / name
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions trust-ad timeout:2\n")
    ip("netns", "add", name)
    ip("link", "set", "lo", "up", namespace=name)
    yield name
    remove_namespace(name)  # and the folder


@pytest.fixture
def host(namespace, engines, tmp_path):
    """(client, daemon) in the namespace; the zones are written by `serve`."""
    prefix = ["ip", "netns", "exec", namespace]
    daemon = Daemon(tmp_path / "qshd", engines[1], prefix=prefix).start()
    client = Client(tmp_path / "home", engines[0], "host.signed.example", daemon.port, prefix)
    daemon.authorize(public(client.key))
    yield client, daemon
    daemon.stop()


@pytest.fixture
def serve(namespace, tmp_path):
    """Start the name server with the fingerprints of a key: serve(key)."""
    servers = []

    def start(key):
        folder = tmp_path / "dns"
        folder.mkdir()
        config = CONFIG.format(folder=folder)
        for zone in ("signed.example", "bare.example"):
            config += ZONE.format(name=zone, file=write_zone(folder, zone, key))
        (folder / "unbound.conf").write_text(config)
        log = (folder / "log").open("wb")
        servers.append(subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unbound", "-d", "-c", folder / "unbound.conf"],
            stdout=log, stderr=log,
        ))  # fmt: skip
        end = time.monotonic() + 10
        while b"start of service" not in (folder / "log").read_bytes():
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)

    yield start
    for server in servers:
        server.terminate()
        server.wait()


def write_zone(folder, zone, key):
    """A zone with the key's SSHFP records, by ssh-keygen; signed if it is to be: its file."""
    records = subprocess.run(["ssh-keygen", "-r", f"host.{zone}.", "-f", f"{key}.pub"],
                             capture_output=True, text=True, check=True).stdout
    path = folder / zone
    path.write_text(
        f"$TTL 60\n$ORIGIN {zone}.\n@ IN SOA ns.{zone}. mail.{zone}. 1 60 60 6000 60\n"
        f"@ IN NS ns.{zone}.\nns IN A 127.0.0.1\nhost IN A 127.0.0.1\n{records}"
    )
    if zone != "signed.example":
        return path
    names = [
        subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", *options, zone], cwd=folder,
                       capture_output=True, text=True, check=True).stdout.strip()
        for options in (["-k"], [])
    ]  # fmt: skip
    subprocess.run(["ldns-signzone", path, *names], cwd=folder, check=True, capture_output=True)
    (folder / "anchor").write_text((folder / f"{names[0]}.key").read_text())
    return Path(f"{path}.signed")


def test_a_signed_fingerprint_is_enough(host, serve):
    client, daemon = host
    serve(daemon.host_key)
    done = client("-v", "-o", "VerifyHostKeyDNS=yes", "host", "echo in")
    assert (done.status, done.stdout) == (0, b"in\n"), done.stderr
    assert not client.known_hosts.exists()
    assert client("host", "echo in").status == 255


def test_an_unsigned_one_only_helps_to_decide(host, serve):
    client, daemon = host
    serve(daemon.host_key)
    client.configure("HostName host.bare.example")
    asks = ("-o", "VerifyHostKeyDNS=yes", "-o", "StrictHostKeyChecking=ask")
    assert client("-o", "VerifyHostKeyDNS=yes", "host", "true").status == 255
    command = client.command(*asks, "host", "echo in")
    with PtyProcess(command, client.environment, columns=200) as terminal:
        terminal.expect(r"Matching host key fingerprint found in DNS\.")
        terminal.expect(r"\(yes/no.*\)")
        terminal.write("no\n")
        assert terminal.wait() == 255


def test_with_ask_the_user_decides_about_a_signed_one_too(host, serve):
    client, daemon = host
    serve(daemon.host_key)
    assert client("-o", "VerifyHostKeyDNS=ask", "host", "true").status == 255


def test_another_key_in_the_dns_is_told_and_trusts_nobody(host, serve, tmp_path):
    client, daemon = host
    serve(make_key(tmp_path / "other"))
    refused = client("-o", "VerifyHostKeyDNS=yes", "host", "true")
    assert refused.status == 255
    assert "THE DNS HAS ANOTHER HOST KEY" in refused.stderr
    line = daemon.known_hosts_line().replace("127.0.0.1", "host.signed.example")
    client.known_hosts.write_text(f"{line}\n")
    known = client("-o", "VerifyHostKeyDNS=yes", "host", "true")
    assert (known.status, "THE DNS HAS ANOTHER" in known.stderr) == (0, True)


def test_without_a_name_server_known_hosts_decide(host):
    client, daemon = host
    client.configure("HostName 127.0.0.1")
    client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
    assert client("-o", "VerifyHostKeyDNS=yes", "host", "true").status == 0
