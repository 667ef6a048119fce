"""Whom the client trusts: known_hosts as OpenSSH writes and reads it."""

import re
import subprocess

import pytest

from tests.integration.harness import certify, make_key, public
from tests.pty_process import PtyProcess


def fingerprint(key):
    """As `ssh-keygen -l` shows it: SHA256:…"""
    output = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], stdout=-1, check=True).stdout
    return output.decode().split()[1]


@pytest.fixture
def stranger(qsh):
    """A client that has never seen the host."""
    qsh.known_hosts.unlink()
    return qsh


def test_a_strange_host_is_asked_about_with_the_fingerprint_ssh_shows(stranger, daemon):
    command = stranger.command("-o", "StrictHostKeyChecking=ask", "host", "echo in")
    with PtyProcess(command, stranger.environment, columns=200) as terminal:
        terminal.expect(r"\(yes/no.*\)")
        assert fingerprint(daemon.host_key) in terminal.text
        assert "ED25519" in terminal.text
        terminal.write("yes\n")
        terminal.expect("^in$")
        assert terminal.wait() == 0
    assert public(daemon.host_key).split()[1] in stranger.known_hosts.read_text()
    assert stranger("host", "echo again").stdout == b"again\n"


@pytest.mark.one_pair
def test_no_means_no(stranger, daemon):
    command = stranger.command("-o", "StrictHostKeyChecking=ask", "host", "echo in")
    with PtyProcess(command, stranger.environment, columns=200) as terminal:
        terminal.expect(r"\(yes/no.*\)")
        terminal.write("no\n")
        assert terminal.wait() == 255
    assert not stranger.known_hosts.exists()
    assert not re.search("^in$", terminal.text, re.MULTILINE)


@pytest.mark.one_pair
def test_the_fingerprint_itself_is_a_yes(stranger, daemon):
    command = stranger.command("-o", "StrictHostKeyChecking=ask", "host", "echo in")
    with PtyProcess(command, stranger.environment, columns=200) as terminal:
        terminal.expect(r"\(yes/no.*\)")
        terminal.write(fingerprint(daemon.host_key) + "\n")
        terminal.expect("^in$")


def test_yes_refuses_strangers_and_tells_how_to_trust(stranger, daemon):
    result = stranger("host", "echo in")
    assert (result.status, result.stdout) == (255, b"")
    assert result.stderr.startswith("qsh: ")
    assert f"[127.0.0.1]:{daemon.port}" in result.stderr


@pytest.mark.one_pair
def test_without_a_terminal_nobody_is_asked(stranger):
    result = stranger("-o", "StrictHostKeyChecking=ask", "host", "echo in", timeout=20)
    assert result.status == 255


def test_accept_new_adds_strangers_but_not_changed_keys(stranger, tmp_path, daemon):
    accept = ["-o", "StrictHostKeyChecking=accept-new"]
    assert stranger(*accept, "host", "echo in").stdout == b"in\n"
    assert daemon.known_hosts_line().rsplit(" ", 1)[0] in stranger.known_hosts.read_text()
    other = make_key(tmp_path / "other")
    stranger.known_hosts.write_text(f"[127.0.0.1]:{daemon.port} {public(other)}\n")
    assert stranger(*accept, "host", "echo in").status == 255


def test_a_changed_key_is_refused_with_file_and_line(qsh, daemon, tmp_path):
    other = make_key(tmp_path / "other")
    qsh.known_hosts.write_text(f"# mine\n[127.0.0.1]:{daemon.port} {public(other)}\n")
    for answer in ("yes", "ask", "accept-new"):
        result = qsh("-o", f"StrictHostKeyChecking={answer}", "host", "echo in")
        assert (result.status, result.stdout) == (255, b"")
        assert "changed" in result.stderr.lower()
        assert f"{qsh.known_hosts}:2" in result.stderr
        assert fingerprint(daemon.host_key) in result.stderr


@pytest.mark.one_pair
def test_a_revoked_key_is_refused(qsh, daemon):
    line = daemon.known_hosts_line()
    qsh.known_hosts.write_text(f"{line}\n@revoked * {public(daemon.host_key)}\n")
    for answer in ("yes", "ask", "accept-new"):
        result = qsh("-o", f"StrictHostKeyChecking={answer}", "host", "echo in")
        assert (result.status, result.stdout) == (255, b"")
        assert "revoked" in result.stderr.lower()


def test_hashed_names_are_found(qsh):
    subprocess.run(["ssh-keygen", "-H", "-f", qsh.known_hosts], check=True, capture_output=True)
    assert qsh.known_hosts.read_text().startswith("|1|")
    assert qsh("host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
def test_hashed_names_are_written_so_that_ssh_keygen_finds_them(stranger, daemon):
    options = ["-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=yes"]
    assert stranger(*options, "host", "true").status == 0
    find = ["ssh-keygen", "-F", f"[127.0.0.1]:{daemon.port}", "-f", stranger.known_hosts]
    assert subprocess.run(find, capture_output=True).returncode == 0
    assert "127.0.0.1" not in stranger.known_hosts.read_text()


@pytest.mark.one_pair
@pytest.mark.parametrize("pattern", ["[127.0.0.*]:*", "*,![192.0.2.1]:22"])
def test_patterns_match(qsh, daemon, pattern):
    qsh.known_hosts.write_text(f"{pattern} {public(daemon.host_key)}\n")
    assert qsh("host", "true").status == 0


@pytest.mark.one_pair
def test_a_negated_pattern_matches_not(qsh, daemon):
    names = f"*,!127.0.0.1,![127.0.0.1]:{daemon.port}"
    qsh.known_hosts.write_text(f"{names} {public(daemon.host_key)}\n")
    assert qsh("host", "true").status == 255


@pytest.fixture
def certified(own_daemon, new_client, tmp_path):
    """(daemon with a host certificate for 127.0.0.1, its client, the authority)."""
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "host_key")

    def make(*options):
        certificate = certify(authority, key, "-h", *options)
        daemon = own_daemon(f"HostKey {key}", f"HostCertificate {certificate}")
        return daemon, new_client(daemon), authority

    return make


def test_a_host_certificate_of_a_known_authority_is_trusted(certified):
    _daemon, qsh, authority = certified("-n", "127.0.0.1")
    qsh.known_hosts.write_text(f"@cert-authority * {public(authority)}\n")
    assert qsh("host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
@pytest.mark.parametrize(
    "options", [["-n", "other.example"], ["-n", "127.0.0.1", "-V", "-2h:-1h"]],
    ids=["another name", "expired"],
)  # fmt: skip
def test_a_host_certificate_that_does_not_hold_is_not_trusted(certified, options):
    _daemon, qsh, authority = certified(*options)
    qsh.known_hosts.write_text(f"@cert-authority * {public(authority)}\n")
    assert qsh("host", "echo in").status == 255


@pytest.mark.one_pair
def test_a_known_hosts_that_cannot_be_written_is_told_and_no_obstacle(stranger):
    command = stranger.command("-o", "StrictHostKeyChecking=accept-new", "host", "echo in")
    # A limit on file size has the effect of a full disk: the write fails.
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
    done = subprocess.run(
        limited, env=stranger.environment, capture_output=True, timeout=30, stdin=-3
    )
    assert done.stdout == b"in\n"
    assert str(stranger.known_hosts) in done.stderr.decode()
