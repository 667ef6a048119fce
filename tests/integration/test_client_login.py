"""What the client remembers, and hosts with several keys."""

import pytest

from tests.integration.harness import make_key, public

pytestmark = pytest.mark.one_pair


def test_the_identity_that_worked_goes_first_next_time(qsh, daemon, tmp_path):
    wrong = [make_key(tmp_path / f"wrong{number}") for number in range(3)]
    right = make_key(tmp_path / "right")
    daemon.authorize(public(right))
    files = [word for key in (*wrong, right) for word in ("-i", key)]
    qsh.configure("IdentityFile none")
    first = qsh("-vv", *files, "host", "true")
    second = qsh("-vv", *files, "host", "true")
    assert (first.status, second.status) == (0, 0)
    assert first.stderr.count("publickey refused") == 3
    assert "publickey refused" not in second.stderr


def test_a_host_known_by_another_of_its_keys_is_trusted(own_daemon, new_client, tmp_path):
    other = make_key(tmp_path / "other", kind="ecdsa")
    first = make_key(tmp_path / "first")
    daemon = own_daemon(f"HostKey {first}", f"HostKey {other}")
    client = new_client(daemon)
    client.known_hosts.write_text(f"[{daemon.address}]:{daemon.port} {public(other)}\n")
    done = client("-v", "host", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert "proved its ECDSA key" in done.stderr


def test_a_strange_host_shows_a_key_that_may_be_taken(own_daemon, new_client, tmp_path):
    first, other = make_key(tmp_path / "first"), make_key(tmp_path / "other", kind="ecdsa")
    client = new_client(own_daemon(f"HostKey {first}", f"HostKey {other}"))
    client.known_hosts.write_text("")
    options = ["-o", "StrictHostKeyChecking=accept-new", "-o", "HostKeyAlgorithms=ecdsa*"]
    done = client("-v", *options, "-o", "UpdateHostKeys=no", "host", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert client.known_hosts.read_text().split()[1:3] == public(other).split()[:2]
    assert client(*options, "host", "echo again").stdout == b"again\n"
    none = client("-o", "HostKeyAlgorithms=rsa-sha2-512", "host", "true")
    assert (none.status, "HostKeyAlgorithms does not allow" in none.stderr) == (255, True)


def test_a_host_that_lost_its_known_key_is_refused(own_daemon, new_client, tmp_path):
    first, gone = make_key(tmp_path / "first"), make_key(tmp_path / "gone", kind="ecdsa")
    daemon = own_daemon(f"HostKey {first}")
    client = new_client(daemon)
    client.known_hosts.write_text(f"[{daemon.address}]:{daemon.port} {public(gone)}\n")
    done = client("host", "echo in")
    assert done.status == 255
    assert "HAS CHANGED" in done.stderr
    assert done.stdout == b""
