import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from qsh.auth.public_key import PublicKey
from qsh.auth.signing import verify_attestation
from qsh.config.values import AlgorithmList, read_algorithms
from qsh.errors import ConfigError
from qsh.quic.identity import decode_attestation
from qsh.server.launch import host_key_files
from qsh.server.launch.host_key_files import HostKeyPlan
from qsh.server.launch.host_keys import HostKeyProcess, Signer, SignerError
from qsh.wire.codec import Writer

SPKI, ODCID, NONCE = b"spki" * 20, b"o" * 16, b"n" * 32


def make_key(path, kind="ed25519", passphrase=""):
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return str(path)


@pytest.fixture
def start():
    started = []

    def run(*paths, **more):
        started.append(HostKeyProcess(HostKeyPlan(paths, **more)))
        return started[-1]

    yield run
    for process in started:
        process.stop()


@pytest.fixture
def agent(tmp_path):
    """The environment of a running ssh-agent."""
    path = tempfile.mkdtemp(prefix="qsh-agent")  # short: a socket's path is bounded
    process = subprocess.Popen(["ssh-agent", "-D", "-a", f"{path}/s"], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield os.environ | {"SSH_AUTH_SOCK": f"{path}/s"}
    process.terminate()
    process.communicate()
    shutil.rmtree(path)


def signer_of(process):
    return Signer(process.connect())


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_attestation(start, tmp_path, kind):
    path = make_key(tmp_path / "key", kind)
    process = start(path)
    attestation = decode_attestation(signer_of(process).attest(SPKI, ODCID, NONCE))
    assert verify_attestation(attestation, SPKI, ODCID) == PublicKey.from_file(f"{path}.pub")
    assert process.keys[0].shown.blob == attestation.host_key_blob


def test_certificate_is_shown(start, tmp_path):
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "key")
    command = ["ssh-keygen", "-q", "-s", authority, "-I", "id", "-h", "-n", "host", f"{key}.pub"]
    subprocess.run(command, check=True, capture_output=True)
    process = start(key, certificates=(f"{key}-cert.pub",))
    attestation = decode_attestation(signer_of(process).attest(SPKI, ODCID, NONCE))
    assert verify_attestation(attestation, SPKI, ODCID).is_certificate
    assert process.keys[0].key == PublicKey.from_file(f"{key}.pub")


def test_proof(start, tmp_path):
    paths = [make_key(tmp_path / kind, kind) for kind in ("ed25519", "ecdsa")]
    process = start(*paths)
    second = PublicKey.from_file(f"{paths[1]}.pub")
    signer = signer_of(process)
    signature = signer.prove(b"session", second.blob)
    signed = Writer().string(b"hostkeys-prove-00@openssh.com").string(b"session")
    assert second.verify(signed.string(second.blob).finish(), signature)
    assert signer.prove(b"session", b"another key") == b""


def test_keys_that_cannot_be_used_are_left_out(start, tmp_path):
    good, locked = make_key(tmp_path / "good"), make_key(tmp_path / "locked", passphrase="secret")
    (tmp_path / "garbage").write_text("no key")
    (tmp_path / "garbage").chmod(0o600)
    process = start(str(tmp_path / "none"), locked, str(tmp_path / "garbage"), good)
    assert len(process.keys) == 1
    assert [text.split(":")[0] for text in process.complaints] == [
        f"Unable to load host key {tmp_path / name}" for name in ("none", "locked", "garbage")
    ]


def test_none_left_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=f"Unable to load host key {tmp_path}/none"):
        HostKeyProcess(HostKeyPlan((f"{tmp_path}/none",)))


def test_own_key_is_made_once(start, tmp_path, monkeypatch):
    monkeypatch.setattr(host_key_files, "state_folder", lambda: str(tmp_path / "state"))
    first = start().keys
    path = tmp_path / "state" / "host_ed25519_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert start().keys == first
    assert PublicKey.from_file(f"{path}.pub") == first[0].key


def test_garbage_gets_no_signature_and_harms_nobody(start, tmp_path):
    process = start(make_key(tmp_path / "key"))
    bad, good = signer_of(process), signer_of(process)
    bad.sock.send(b"\xff\xff")
    assert bad.sock.recv(10) == b"\1"
    bad.sock.send(b"\1")
    with pytest.raises(SignerError):
        bad.attest(SPKI, ODCID, NONCE)  # reads the answer to the garbage before
    assert good.attest(SPKI, ODCID, NONCE)


def test_it_ends_with_the_last_that_needs_it(start, tmp_path):
    process = start(make_key(tmp_path / "key"))
    signer = signer_of(process)
    process.stop()
    assert signer.attest(SPKI, ODCID, NONCE)
    signer.sock.close()
    end = time.monotonic() + 5
    while time.monotonic() < end and "Z" not in state_of(process.pid):
        time.sleep(0.01)
    assert state_of(process.pid) == "Z"
    with pytest.raises(OSError, match=r"Broken pipe|reset|Bad file"):
        process.connect()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_agent_signs(start, tmp_path, kind, agent):
    """The private half is nowhere on disk; the certificate stands beside the public one."""
    path = Path(make_key(tmp_path / "key", kind))
    subprocess.run(["ssh-add", "-q", path], env=agent, check=True)
    path.unlink()
    process = start(f"{path}.pub", agent=agent["SSH_AUTH_SOCK"])
    attestation = decode_attestation(signer_of(process).attest(SPKI, ODCID, NONCE))
    assert verify_attestation(attestation, SPKI, ODCID) == PublicKey.from_file(f"{path}.pub")
    subprocess.run(["ssh-add", "-q", "-D"], env=agent, check=True, stderr=subprocess.DEVNULL)
    with pytest.raises(SignerError):
        signer_of(process).attest(SPKI, ODCID, NONCE)


def test_an_agent_by_the_environment(start, tmp_path, agent, monkeypatch):
    path = make_key(tmp_path / "key")
    subprocess.run(["ssh-add", "-q", path], env=agent, check=True)
    Path(path).write_text("no key")
    monkeypatch.setenv("SSH_AUTH_SOCK", agent["SSH_AUTH_SOCK"])
    assert len(start(path, agent="SSH_AUTH_SOCK").keys) == 1


def test_an_agent_that_is_not_there_is_told_of(start, tmp_path):
    process = start(make_key(tmp_path / "key"), agent=f"{tmp_path}/none")
    assert len(process.keys) == 1
    assert process.complaints[0].startswith("HostKeyAgent: cannot reach the agent")


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("+", ["ED25519-CERT", "RSA"]), ("rsa-sha2-256,ssh-ed25519", ["RSA", "ED25519"]),
        ("^rsa-*", ["RSA", "ED25519-CERT"]), ("-rsa-*", ["ED25519-CERT"]),
        ("rsa-sha2-512", ["RSA"]),
    ],
)  # fmt: skip
def test_algorithms_choose_and_order(start, tmp_path, wanted, shown):
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "key")
    command = ["ssh-keygen", "-q", "-s", authority, "-I", "id", "-h", "-n", "host", f"{key}.pub"]
    subprocess.run(command, check=True, capture_output=True)
    algorithms = AlgorithmList() if wanted == "+" else read_algorithms((wanted,))
    process = start(
        key, make_key(tmp_path / "rsa", "rsa"), certificates=(f"{key}-cert.pub",),
        algorithms=algorithms,
    )  # fmt: skip
    assert [one.shown.key_type_name for one in process.keys] == shown
    attestation = decode_attestation(signer_of(process).attest(SPKI, ODCID, NONCE))
    assert verify_attestation(attestation, SPKI, ODCID) == process.keys[0].shown
    if wanted.startswith("rsa-sha2-256"):
        assert b"rsa-sha2-256" in attestation.signature


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
