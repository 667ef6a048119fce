"""How the client comes to know host keys: UpdateHostKeys, KnownHostsCommand, DNS, and the rest."""

import re
import subprocess

import pytest

from tests.integration.harness import make_key, public
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


@pytest.fixture
def many(own_daemon, new_client, tmp_path):
    """(daemon with an Ed25519, an ECDSA and an RSA key, its client, the keys)."""
    keys = [make_key(tmp_path / f"host_{kind}", kind=kind) for kind in ("ed25519", "ecdsa", "rsa")]
    daemon = own_daemon(*(f"HostKey {key}" for key in keys))
    qsh = new_client(daemon)
    qsh.known_hosts.write_text(f"[127.0.0.1]:{daemon.port} {public(keys[0])}\n")
    return daemon, qsh, keys


def blobs(text):
    return sorted(line.split()[2] for line in text.splitlines())


def test_a_known_host_tells_its_other_keys(many, tmp_path):
    daemon, qsh, keys = many
    old = make_key(tmp_path / "old")
    with qsh.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{daemon.port} {public(old)}\n")
    assert qsh("-o", "UpdateHostKeys=yes", "host", "true").status == 0
    assert blobs(qsh.known_hosts.read_text()) == sorted(public(key).split()[1] for key in keys)
    assert qsh("-o", "UpdateHostKeys=yes", "host", "true").status == 0


def test_a_file_that_was_named_is_not_written_to_unasked(many):
    _daemon, qsh, _keys = many
    before = qsh.known_hosts.read_text()
    assert qsh("host", "true").status == 0
    assert qsh.known_hosts.read_text() == before
    assert b"updatehostkeys no\n" in qsh("-G", "host").stdout


def test_the_usual_file_is(qsh):
    qsh.config.write_text(qsh.config.read_text().replace("UserKnownHostsFile", "# "))
    assert b"updatehostkeys yes\n" in qsh("-G", "host").stdout
    shown = qsh("-G", "-o", "VerifyHostKeyDNS=ask", "host").stdout
    assert b"updatehostkeys no\n" in shown


def test_the_user_is_asked_after_the_session(many):
    _daemon, qsh, keys = many
    command = qsh.command("-o", "UpdateHostKeys=ask", "-t", "host", "echo in the session")
    with PtyProcess(command, qsh.environment, columns=200) as terminal:
        terminal.expect(r"Accept updated hostkeys.*\)")
        assert terminal.text.index("in the session") < terminal.text.index("Learned new hostkey")
        terminal.write("yes\n")
        assert terminal.wait() == 0, terminal.text
    assert len(blobs(qsh.known_hosts.read_text())) == len(keys)


def test_the_order_of_algorithms_follows_what_is_known(many):
    """The host shows its first key, and proves whichever is known and allowed."""
    daemon, qsh, keys = many
    for key in keys:
        qsh.known_hosts.write_text(f"[127.0.0.1]:{daemon.port} {public(key)}\n")
        assert qsh("host", "true").status == 0
    only_rsa = ("-o", "HostKeyAlgorithms=rsa-sha2-512")
    assert qsh(*only_rsa, "host", "true").status == 0
    qsh.known_hosts.write_text(f"[127.0.0.1]:{daemon.port} {public(keys[0])}\n")
    assert qsh(*only_rsa, "host", "true").status == 255


def test_a_program_knows_the_host(qsh, daemon, tmp_path):
    qsh.known_hosts.unlink()
    program = tmp_path / "known"
    program.write_text(f'#!/bin/sh\necho "$1 {public(daemon.host_key)}"\n')
    program.chmod(0o755)
    assert qsh("-o", f"KnownHostsCommand={program} %H", "host", "true").status == 0
    assert not qsh.known_hosts.exists()
    refused = qsh("-o", f"KnownHostsCommand={program} other", "host", "true")
    assert refused.status == 255
    assert "no ED25519 host key is known" in refused.stderr


def test_a_list_of_revoked_keys_by_ssh_keygen(qsh, daemon, tmp_path):
    other = make_key(tmp_path / "other")
    listed = tmp_path / "revoked"
    subprocess.run(["ssh-keygen", "-qkf", listed, f"{other}.pub"], check=True)
    assert qsh("-o", f"RevokedHostKeys={listed}", "host", "true").status == 0
    subprocess.run(["ssh-keygen", "-qkuf", listed, f"{daemon.host_key}.pub"], check=True)
    refused = qsh("-o", f"RevokedHostKeys={listed}", "host", "true")
    assert (refused.status, "REVOKED HOST KEY" in refused.stderr) == (255, True)
    missing = qsh("-o", "RevokedHostKeys=/nonexistent/list", "host", "true")
    assert (missing.status, "no host is trusted without it" in missing.stderr) == (255, True)


def test_an_alias_stands_for_the_host(qsh, daemon):
    qsh.known_hosts.write_text(f"the-alias {public(daemon.host_key)}\n")
    assert qsh("host", "true").status == 255
    assert qsh("-o", "HostKeyAlias=the-alias", "host", "true").status == 0


def test_this_machine_may_go_unchecked(qsh):
    qsh.known_hosts.unlink()
    assert qsh("-o", "NoHostAuthenticationForLocalhost=yes", "host", "true").status == 0
    assert not qsh.known_hosts.exists()


def test_the_picture_is_ssh_keygens(qsh, daemon):
    shown = qsh("-o", "VisualHostKey=yes", "host", "true").stderr
    drawn = subprocess.run(["ssh-keygen", "-lvf", f"{daemon.host_key}.pub"],
                           capture_output=True, text=True, check=True).stdout
    assert drawn.partition("\n")[2].strip() in shown
    assert re.search(r"SHA256:\S+", drawn)[0] in shown
