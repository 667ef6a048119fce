"""The path of every login imports little: no asyncssh, no asyncio, no X.509."""

import json
import subprocess
import sys

import pytest

from qsh.auth.generate import new_ed25519

PROGRAM = """
import json, sys
before = set(sys.modules)  # what an editable installation loads at every start
from qsh.auth.identities import look_at
from qsh.auth.keys import PublicKey, load_private
from qsh.auth.known_hosts import load
from qsh.auth.methods import order_identities
from qsh.auth.signing import sign_userauth
identity = order_identities([], [look_at(sys.argv[1])])[0]
key = load_private(identity.path)
assert load([sys.argv[2]]).check("host", 22, None, key.public, 0).line == 1
signature = sign_userauth(key.sign, key.public, b"s" * 64, "me", "ssh-ed25519")
print(json.dumps(list(set(sys.modules) - before)))
"""
HEAVY = {"asyncssh", "asyncio", "ssl", "pathlib", "subprocess", "tempfile"}


@pytest.fixture
def loaded(tmp_path):
    """The modules that a login with an ed25519 file to a known host loads."""
    private, line = new_ed25519()
    key, known = tmp_path / "id", tmp_path / "known_hosts"
    key.write_bytes(private)
    key.chmod(0o600)
    known.write_text(f"host {line}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{PROGRAM}", key, known],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_plain_login_loads_nothing_heavy(loaded):
    assert not loaded & HEAVY
    assert "cryptography.x509" not in loaded
    unwanted = {"authorized_keys", "certificates", "revoked", "security_key", "policy"}
    assert not loaded & {f"qsh.auth.{name}" for name in unwanted}
