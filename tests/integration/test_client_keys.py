"""Logging in with keys wherever they are: agents, certificates, tokens, devices, locked files."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import certify, make_key, missing_programs, public
from tests.interop.test_openssh_security_keys import SOURCE
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair
PIN = "4711"
HSM = [Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so")]


@pytest.fixture
def askpass(tmp_path):
    """A program that answers every question, and the environment to have it asked:
    askpass("answer") → {…}; what was asked is in `askpass.asked()`."""
    program, asked = tmp_path / "askpass", tmp_path / "asked"

    def make(answer):
        program.write_text(f'#!/bin/sh\necho "$1" >>{asked}\necho "{answer}"\n')
        program.chmod(0o755)
        return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}

    make.asked = lambda: asked.read_text().splitlines() if asked.exists() else []
    return make


@pytest.fixture
def agent(ssh_agent):
    """(environment, list of the agent's keys as ssh-add -L prints them)."""
    env = {"SSH_AUTH_SOCK": str(ssh_agent)}

    def held():
        done = subprocess.run(["ssh-add", "-L"], env=os.environ | env, capture_output=True,
                              text=True)  # fmt: skip
        return [line.split()[1] for line in done.stdout.splitlines() if done.returncode == 0]

    def add(key):
        subprocess.run(["ssh-add", "-q", key], env=os.environ | env, check=True)

    return env, held, add


def test_a_public_key_file_chooses_the_agents_key(qsh, daemon, agent, tmp_path):
    env, _held, add = agent
    keys = [make_key(tmp_path / f"k{number}") for number in range(8)]
    for key in keys:
        add(key)
        key.unlink()
    daemon.authorize(public(keys[7]))
    qsh.configure("IdentityFile none", "IdentitiesOnly no")
    assert qsh("host", "true", env=env).status == 255  # MaxAuthTries, as with ssh
    named = ("-o", "IdentitiesOnly=yes", "-i", f"{keys[7]}.pub")
    done = qsh("-vv", *named, "host", "true", env=env)
    assert done.status == 0, done.stderr
    assert "refused" not in done.stderr


@pytest.fixture
def certified(daemon, tmp_path):
    """(key whose certificate lets in, certificate elsewhere than beside the key)."""
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "user")
    beside = certify(authority, key, "-n", os.environ.get("USER") or "root")
    elsewhere = tmp_path / "elsewhere.pub"
    beside.rename(elsewhere)
    daemon.authorize(f'cert-authority,principals="{os.environ.get("USER") or "root"}" '
                     f"{public(authority)}")  # fmt: skip
    return key, elsewhere


def test_a_certificate_in_a_file_of_its_own(qsh, certified):
    key, certificate = certified
    qsh.configure(f"IdentityFile {key}")
    assert qsh("host", "true").status == 255
    assert qsh("-o", f"CertificateFile={certificate}", "host", "true").status == 0


@pytest.mark.parametrize("only", ["yes", "no"])
def test_a_certificate_for_a_key_in_the_agent(qsh, certified, agent, only):
    key, certificate = certified
    env, _held, add = agent
    add(key)
    key.unlink()
    qsh.configure("IdentityFile none", f"IdentitiesOnly {only}", f"CertificateFile {certificate}")
    assert qsh("host", "true", env=env).status == 0


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_is_handed_to_the_agent(qsh, daemon, agent, askpass, tmp_path, kind):
    env, held, _add = agent
    key = make_key(tmp_path / "locked", kind=kind, passphrase="secret")
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    first = qsh("-o", "AddKeysToAgent=5m", "host", "true", env=env | askpass("secret"))
    assert first.status == 0, first.stderr
    assert askpass.asked() == [f"Enter passphrase for key '{key}': "]
    assert held() == [public(key).split()[1]]
    key.unlink()
    assert qsh("-i", f"{key}.pub", "host", "true", env=env).status == 0


def test_a_key_is_handed_over_only_when_asked_for(qsh, agent, askpass):
    env, held, _add = agent
    assert qsh("host", "true", env=env).status == 0
    assert held() == []
    no = askpass("no")
    assert qsh("-o", "AddKeysToAgent=ask", "host", "true", env=env | no).status == 0
    assert held() == []
    assert re.fullmatch(r"Add key .* \(SHA256:.*\) to agent\?", askpass.asked()[-1])
    yes = askpass("yes")
    assert qsh("-o", "AddKeysToAgent=ask", "host", "true", env=env | yes).status == 0
    assert len(held()) == 1


def test_a_key_that_the_agent_asks_about_at_each_use(qsh, daemon, agent, tmp_path):
    env, held, _add = agent
    assert qsh("-o", "AddKeysToAgent=confirm", "host", "true", env=env).status == 0
    assert len(held()) == 1
    qsh.configure(f"IdentityFile {qsh.key}.pub")
    qsh.key.unlink()
    assert qsh("host", "true", env=env).status == 255  # nobody is there to confirm


def test_another_agent_than_the_usual_one(qsh, daemon, agent, tmp_path):
    env, _held, add = agent
    key = make_key(tmp_path / "key")
    add(key)
    daemon.authorize(public(key))
    qsh.configure("IdentityFile none", "IdentitiesOnly no")
    socket = env["SSH_AUTH_SOCK"]
    assert qsh("-o", f"IdentityAgent={socket}", "host", "true").status == 0
    assert qsh("-o", "IdentityAgent=$MINE", "host", "true", env={"MINE": socket}).status == 0
    assert qsh("-o", "IdentityAgent=none", "host", "true", env=env).status == 255


@pytest.fixture
def token(tmp_path, monkeypatch):
    """(library, public key line) of a token that holds a key: SoftHSM."""
    library = next((path for path in HSM if path.exists()), None)
    if library is None or missing_programs("softhsm2-util"):
        pytest.skip("not installed here: softhsm2")
    (tmp_path / "tokens").mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    env = {"SOFTHSM2_CONF": str(config)}
    key = make_key(tmp_path / "token_key", "-m", "PKCS8", kind="rsa")

    def util(*words):
        subprocess.run(["softhsm2-util", *words], env=os.environ | env, check=True,
                       capture_output=True)  # fmt: skip

    util("--init-token", "--free", "--label", "card", "--pin", PIN, "--so-pin", "12345678")
    util("--import", str(key), "--token", "card", "--label", "login", "--id", "a1", "--pin", PIN)
    key.unlink()
    return library, public(key), env


def test_a_key_in_a_token(qsh, daemon, token, askpass):
    library, line, env = token
    daemon.authorize(line)
    qsh.configure("IdentityFile none", "IdentitiesOnly yes")
    done = qsh("-I", str(library), "host", "echo in", env=env | askpass(PIN))
    assert (done.status, done.stdout) == (0, b"in\n"), done.stderr
    assert askpass.asked() == [f"Enter PIN for '{library}': "]


def test_a_token_that_does_not_help(qsh, daemon, token, askpass):
    library, line, env = token
    qsh.configure("IdentityFile none", "PasswordAuthentication no")
    nobody = qsh("-I", str(library), "host", "true", env=env | askpass(PIN))
    assert nobody.status == 255
    assert askpass.asked() == []  # nobody is asked for a key that the server does not want
    daemon.authorize(line)
    wrong = qsh("-I", str(library), "host", "true", env=env | askpass("1111"))
    assert (wrong.status, "does not open with this PIN" in wrong.stderr) == (255, True)
    assert len(askpass.asked()) == 1
    missing = qsh("-I", "/nonexistent.so", "host", "true", env=env)
    assert (missing.status, "PKCS11Provider /nonexistent.so" in missing.stderr) == (255, True)


@pytest.mark.parametrize("by", ["keyword", "environment"])
def test_a_fido_key_by_its_library(qsh, daemon, tmp_path, by):
    library, key = tmp_path / "provider.so", tmp_path / "sk"
    build = ["cc", "-w", "-shared", "-fPIC", "-DSK_API=0x000a0000", "-o", library, SOURCE]
    built = not missing_programs("cc") and subprocess.run(
        [*build, "-lcrypto"], capture_output=True
    )  # fmt: skip
    if not built or built.returncode:
        pytest.skip("the authenticator does not build here")
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519-sk", "-w", library, "-N", "", "-f", key],
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("this OpenSSH has another interface to authenticators")
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    option = ["-o", f"SecurityKeyProvider={library}"] if by == "keyword" else []
    env = {} if option else {"SSH_SK_PROVIDER": str(library)}
    done = qsh(*option, "host", "echo in", env=env)
    assert done.stdout == b"in\n", done.stderr
    assert "confirm user presence" in done.stderr


def test_a_locked_key_is_asked_for_as_often_as_set(qsh, daemon, askpass, tmp_path):
    key = make_key(tmp_path / "locked", passphrase="secret")
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}", "NumberOfPasswordPrompts 2", "PasswordAuthentication no")
    assert qsh("host", "true", env=askpass("wrong")).status == 255
    assert [text.split(",")[0] for text in askpass.asked()] == [
        f"Enter passphrase for key '{key}': ", "Bad passphrase"]  # fmt: skip
    assert qsh("-o", "BatchMode=yes", "host", "true", env=askpass("secret")).status == 255
    assert len(askpass.asked()) == 2
    assert qsh("host", "true", env=askpass("secret")).status == 0


def test_a_passphrase_at_the_terminal_where_no_program_shall_ask(qsh, daemon, askpass, tmp_path):
    key = make_key(tmp_path / "locked", passphrase="secret")
    daemon.authorize(public(key))
    env = qsh.environment | askpass("secret") | {"SSH_ASKPASS_REQUIRE": "never"}
    with PtyProcess(qsh.command("-i", key, "host", "echo in"), env, columns=200) as terminal:
        terminal.expect("Enter passphrase for key")
        terminal.write("secret\n")
        terminal.expect("^in")
        assert terminal.wait() == 0
    assert askpass.asked() == []
    assert "secret" not in terminal.text


@pytest.mark.parametrize(
    ("client", "server", "status"),
    [("ssh-ed25519", "ssh-rsa,rsa-sha2-512,ecdsa*", 255), ("-ssh-ed25519", "+x", 255),
     ("^rsa-sha2-256", "ssh-ed25519", 0), ("ssh-ed25519", "ssh-ed25519", 0)],
)  # fmt: skip
def test_algorithms_that_may_log_in_on_both_sides(own_daemon, new_client, client, server, status):
    qsh = new_client(own_daemon(f"PubkeyAcceptedAlgorithms {server}"))
    done = qsh("-o", f"PubkeyAcceptedAlgorithms={client}", "host", "true")
    assert done.status == status, done.stderr


def test_rsa_signs_with_what_both_sides_allow(own_daemon, new_client, tmp_path):
    daemon = own_daemon("PubkeyAcceptedAlgorithms rsa-sha2-256")
    qsh = new_client(daemon)
    key = make_key(tmp_path / "rsa", kind="rsa")
    daemon.authorize(public(key))
    qsh.configure(f"IdentityFile {key}")
    assert qsh("host", "true").status == 0
    assert qsh("-o", "PubkeyAcceptedAlgorithms=rsa-sha2-512", "host", "true").status == 255


def test_the_order_of_methods(qsh, askpass):
    shown = qsh("-v", "-o", "PreferredAuthentications=password", "host", "true",
                env=askpass("x")).stderr  # fmt: skip
    assert "next: publickey" not in shown
    off = qsh("-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes", "host", "true")
    assert off.status == 255


def test_a_command_here_once_the_login_stands(qsh, tmp_path):
    mark = tmp_path / "mark"
    command = ("-o", f"LocalCommand=echo %n %p '%%' > {mark}")
    assert qsh(*command, "host", "true").status == 0
    assert not mark.exists()
    allowed = (*command, "-o", "PermitLocalCommand=yes")
    assert qsh(*allowed, "host", "true").status == 0
    assert mark.read_text() == f"host {qsh.port} %\n"
    mark.unlink()
    refused = qsh(*allowed, "-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes", "host", "true")
    assert (refused.status, mark.exists()) == (255, False)
