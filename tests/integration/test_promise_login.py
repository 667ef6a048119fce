"""Logging in with what OpenSSH's own tools make: keys, agents, certificates, passphrases."""

import re
import subprocess

import pytest

from tests.integration.harness import USER, certify, make_key, public
from tests.pty_process import PtyProcess

REFUSED = "Permission denied"
PROMPT = r"Enter passphrase for key '[^']+': "


def test_a_key_that_is_not_authorized_is_refused(qsh, daemon):
    daemon.authorize()
    result = qsh("host", "echo in")
    assert (result.status, result.stdout) == (255, b"")
    assert REFUSED.lower() in result.stderr.lower()
    assert "publickey" in result.stderr


def test_a_user_that_does_not_exist_is_refused_in_the_same_words(qsh, daemon):
    daemon.authorize()
    known, unknown = (qsh("-l", name, "host", "true") for name in (USER, "no-such-user"))
    assert (known.status, unknown.status) == (255, 255)
    assert unknown.stderr.replace("no-such-user", USER) == known.stderr


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-521", "rsa-2048", "rsa-4096"])
@pytest.mark.one_pair
def test_every_kind_of_key_logs_in(qsh, daemon, tmp_path, kind):
    name, _, bits = kind.partition("-")
    key = make_key(tmp_path / kind, *(["-b", bits] if bits else []), kind=name)
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    assert qsh("host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
@pytest.mark.parametrize("form", ["PEM", "PKCS8", "RFC4716"])
def test_every_form_of_key_file_is_read(qsh, daemon, tmp_path, form):
    key = make_key(tmp_path / "key", "-m", form, "-b", "2048", kind="rsa")
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    assert qsh("host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_host_may_have_any_kind_of_key(own_daemon, new_client, tmp_path, kind):
    key = make_key(tmp_path / "other_host_key", kind=kind)
    daemon = own_daemon(f"HostKey {key}")
    qsh = new_client(daemon)
    qsh.known_hosts.write_text(f"[127.0.0.1]:{daemon.port} {public(key)}\n")
    assert qsh("host", "echo in").stdout == b"in\n"


# -- several identities


@pytest.mark.one_pair
def test_the_right_one_of_several_identities_is_found(qsh, daemon, tmp_path):
    wrong = [make_key(tmp_path / f"wrong{n}") for n in range(3)]
    options = [word for key in wrong for word in ("-i", key)]
    assert qsh(*options, "host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
def test_too_many_tries_end_the_connection(own_daemon, new_client, tmp_path):
    qsh = new_client(own_daemon("MaxAuthTries 2"))
    options = [word for n in range(4) for word in ("-i", make_key(tmp_path / f"wrong{n}"))]
    result = qsh(*options, "host", "echo in")
    assert result.status == 255
    assert "too many" in result.stderr.lower()


# -- agent


def test_the_agents_keys_log_in(qsh, daemon, ssh_agent, tmp_path):
    key = make_key(tmp_path / "in_agent")
    subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": str(ssh_agent)}, check=True)
    key.unlink()
    daemon.authorize(public(key))
    qsh.configure("IdentityFile none", "IdentitiesOnly no")
    agent = {"SSH_AUTH_SOCK": str(ssh_agent)}
    assert qsh("host", "echo in", env=agent).stdout == b"in\n"
    assert qsh("-o", f"IdentityAgent={ssh_agent}", "host", "echo in").stdout == b"in\n"
    assert qsh("host", "echo in").status == 255


@pytest.mark.one_pair
def test_identities_only_keeps_other_keys_of_the_agent_out(qsh, daemon, ssh_agent, tmp_path):
    agent = {"SSH_AUTH_SOCK": str(ssh_agent)}
    other = make_key(tmp_path / "other")
    subprocess.run(["ssh-add", "-q", other], env=agent, check=True)
    daemon.authorize(public(other))
    assert qsh("host", "true", env=agent).status == 255
    qsh.configure("IdentitiesOnly no")
    assert qsh("host", "true", env=agent).status == 0


@pytest.mark.one_pair
def test_an_encrypted_key_in_the_agent_asks_nothing(qsh, daemon, ssh_agent, tmp_path):
    key = make_key(tmp_path / "id")
    agent = {"SSH_AUTH_SOCK": str(ssh_agent)}
    subprocess.run(["ssh-add", "-q", key], env=agent, check=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key], check=True)
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    assert qsh("host", "echo in", env=agent).stdout == b"in\n"


# -- certificates


@pytest.fixture
def authority(tmp_path):
    return make_key(tmp_path / "authority")


def test_a_certificate_beside_the_key_logs_in(qsh, daemon, authority):
    certify(authority, qsh.key, "-n", USER, "-V", "-5m:+1h")
    daemon.authorize(f"cert-authority {public(authority)}")
    assert qsh("host", "echo in").stdout == b"in\n"


@pytest.mark.one_pair
@pytest.mark.parametrize(
    "options",
    [["-n", USER, "-V", "-2h:-1h"], ["-n", USER, "-V", "+1h:+2h"], ["-n", "another-user"],
     ["-n", USER, "-O", "source-address=192.0.2.0/24"], ["-n", USER, "-h"]],
    ids=["expired", "not yet valid", "another user", "another address", "host certificate"],
)  # fmt: skip
def test_a_certificate_that_does_not_hold_here_is_refused(qsh, daemon, authority, options):
    certify(authority, qsh.key, *options)
    daemon.authorize(f"cert-authority {public(authority)}")
    assert qsh("host", "true").status == 255


@pytest.mark.one_pair
def test_a_certificates_forced_command_is_all_that_runs(qsh, daemon, authority):
    certify(authority, qsh.key, "-n", USER, "-O", "force-command=echo forced")
    daemon.authorize(f"cert-authority {public(authority)}")
    assert qsh("host", "echo mine").stdout == b"forced\n"


@pytest.mark.one_pair
def test_principals_of_the_authorized_line_decide(qsh, daemon, authority):
    certify(authority, qsh.key, "-n", "admins")
    daemon.authorize(f'cert-authority,principals="ops,admins" {public(authority)}')
    assert qsh("host", "echo in").stdout == b"in\n"
    daemon.authorize(f'cert-authority,principals="ops" {public(authority)}')
    assert qsh("host", "echo in").status == 255


@pytest.mark.one_pair
def test_an_authority_may_be_trusted_for_all_users(own_daemon, new_client, authority):
    daemon = own_daemon(f"TrustedUserCAKeys {authority}.pub")
    qsh = new_client(daemon)
    daemon.authorize()
    assert qsh("host", "true").status == 255
    certify(authority, qsh.key, "-n", USER)
    assert qsh("host", "echo in").stdout == b"in\n"


# -- passphrases


@pytest.fixture
def locked(qsh):
    """The client, its key now encrypted with the passphrase `secret`."""
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", qsh.key]
    subprocess.run(change, check=True, stdin=subprocess.DEVNULL)
    return qsh


def test_an_encrypted_key_asks_for_its_passphrase(locked):
    command = locked.command("host", "echo in")
    with PtyProcess(command, locked.environment, columns=200) as terminal:
        assert str(locked.key) in terminal.expect(PROMPT).group()
        assert not terminal.echoes()
        terminal.write("secret\n")
        terminal.expect("^in$")
        assert terminal.wait() == 0
    assert "secret" not in terminal.text


@pytest.mark.one_pair
def test_a_wrong_passphrase_may_be_tried_again(locked):
    command = locked.command("host", "echo in")
    with PtyProcess(command, locked.environment, columns=200) as terminal:
        terminal.expect(PROMPT)
        terminal.write("wrong\n")
        terminal.expect(r"(?s)try again.*: $")
        terminal.write("secret\n")
        terminal.expect("^in$")


@pytest.mark.one_pair
def test_batch_mode_asks_nothing(locked):
    command = locked.command("-o", "BatchMode=yes", "host", "echo in")
    with PtyProcess(command, locked.environment) as terminal:
        assert terminal.wait() == 255
    assert not re.search(PROMPT, terminal.text)


@pytest.mark.one_pair
def test_a_key_file_that_others_may_read_is_not_used(qsh):
    qsh.key.chmod(0o644)
    result = qsh("host", "true")
    assert result.status == 255
    assert str(qsh.key) in result.stderr


@pytest.mark.one_pair
@pytest.mark.parametrize("content", [b"", b"not a key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_broken_key_file_is_named(qsh, content, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    broken.chmod(0o600)
    result = qsh("-i", broken, "-o", f"IdentityFile={broken}", "host", "true")
    assert str(broken) in result.stderr
    assert "Traceback" not in result.stderr
