"""`qsh --doctor HOST`: what of the way to a server works, told before any login."""

import json
import socket
import subprocess
import threading
import time

import pytest

from tests.integration.forward_peers import free_port
from tests.integration.harness import Client, Daemon, make_key, public
from tests.wan.lab import Wan


def examine(client, *arguments, status=0):
    """{name: finding} of an examination; its last one where there are several."""
    done = client.run("--doctor", "--json", *arguments, "host")
    assert done.status == status, done.stdout.decode() + done.stderr
    told = json.loads(done.stdout)
    assert told["good"] is (status == 0)
    return {finding["name"]: finding for finding in told["findings"]}


def levels(found, *names):
    return [found[name]["level"] for name in names]


@pytest.fixture
def with_tcp(own_daemon, new_client):
    """A client of a daemon with a TcpPort."""
    tcp = free_port()
    client = new_client(own_daemon(f"TcpPort {tcp}"))
    client.configure(f"TcpPort {tcp}")
    return client


def test_all_is_well(with_tcp):
    with_tcp.key.unlink()  # no login is needed
    found = examine(with_tcp)
    assert levels(found, "name", "udp", "mtu", "datagrams", "moving", "tcp", "host-key") == [
        "pass"
    ] * 7
    assert found["udp"]["address"] == "127.0.0.1"
    assert found["mtu"]["datagram"] >= 1452
    assert found["datagrams"]["payload"] >= 1150


@pytest.mark.one_pair
def test_it_reads_well(with_tcp):
    begin = time.monotonic()
    done = with_tcp.run("--doctor", "host", env={"PYTHONIOENCODING": "utf-8"})
    assert time.monotonic() - begin < 30
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("host, UDP port ")
    assert all(line[2] in "✓–!" for line in lines[1:] if line[2] != " ")
    plain = with_tcp.run("--doctor", "host", env={"PYTHONIOENCODING": "ascii"})
    assert b"  ok 127.0.0.1 answers by UDP" in plain.stdout


@pytest.mark.one_pair
def test_a_host_that_is_not_known_or_another(qsh, tmp_path):
    qsh.known_hosts.write_text("")
    found = examine(qsh, "-o", "StrictHostKeyChecking=ask")
    assert levels(found, "udp", "host-key") == ["pass", "warning"]
    examine(qsh, "-o", "StrictHostKeyChecking=yes", status=1)
    assert qsh.known_hosts.read_text() == ""  # it only looks
    other = make_key(tmp_path / "other")
    qsh.known_hosts.write_text(f"[127.0.0.1]:{qsh.port} {public(other)}\n")
    found = examine(qsh, status=1)
    assert levels(found, "udp", "host-key") == ["pass", "failure"]
    assert "not the one in" in found["host-key"]["text"]


@pytest.mark.one_pair
def test_nobody_listens(qsh):
    found = examine(qsh, "-p", str(free_port()), status=1)
    assert levels(found, "name", "udp", "ssh") == ["pass", "failure", "note"]
    assert "systemctl start qshd" in found["udp"]["hint"]
    found = examine(qsh, "-o", "HostName=nowhere.invalid", status=1)
    assert levels(found, "name") == ["failure"]


def greet(server):
    sock, _ = server.accept()
    with sock:
        sock.sendall(b"SSH-2.0-Test\x1b[2J 1\r\n")


@pytest.mark.one_pair
def test_sshs_server_beside_it(qsh):
    with socket.create_server(("127.0.0.1", qsh.port)) as server:
        thread = threading.Thread(target=greet, args=[server], daemon=True)
        thread.start()
        done = qsh.run("--doctor", "host")
        thread.join()
    assert b"SSH-2.0-Test" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.one_pair
def test_what_makes_no_sense_is_refused(qsh):
    for words in (["--json", "host"], ["--doctor", "host", "true"], ["--doctor"],
                  ["--doctor", "--list", "host"]):  # fmt: skip
        assert qsh.run(*words).status == 255, words


# ---------------------------------------------------------------- networks


@pytest.fixture
def far(engines, tmp_path):
    """far(Wan options…) → (client, wan): a daemon with a TcpPort at the far end of a path."""
    started = []

    def make(**options):
        wan = Wan(**options)
        wan.__enter__()
        started.append(lambda: wan.__exit__())
        tcp = free_port()
        daemon = Daemon(tmp_path / "far", engines[1], [f"TcpPort {tcp}"], prefix=wan.server,
                        address=wan.server_address).start()  # fmt: skip
        started.append(daemon.stop)
        client = Client(tmp_path / "near", engines[0], wan.server_address, daemon.port, wan.client)
        client.known_hosts.write_text(daemon.known_hosts_line() + "\n")
        client.configure(f"TcpPort {tcp}")
        return client, wan

    yield make
    for stop in reversed(started):
        stop()


@pytest.mark.netns
def test_the_mtu_of_the_path(far):
    client, _ = far(mtu="1440")
    found = examine(client)
    assert levels(found, "udp", "mtu", "moving", "tcp") == ["pass"] * 4
    assert 1228 < found["mtu"]["mtu"] <= 1440


@pytest.mark.netns
def test_udp_is_blocked(far):
    client, wan = far()
    block_udp(wan)
    found = examine(client, "-o", "ConnectTimeout=3")
    assert levels(found, "udp", "tcp", "host-key") == ["warning", "pass", "pass"]
    assert "firewall" in found["udp"]["hint"]
    found = examine(client, "-o", "ConnectTimeout=3", "-o", "TcpPort=none", status=1)
    assert levels(found, "udp", "tcp") == ["failure", "note"]


def block_udp(wan):
    """At the server's end, without a word to who sends."""
    rules = ("add pref 100 lookup local", "del pref 0",
             "add pref 10 iif wan0 ipproto udp blackhole")  # fmt: skip
    for rule in rules:
        subprocess.run([*wan.server, "ip", "rule", *rule.split()], check=True)
