"""The picture is ssh-keygen's own."""

import shutil
import subprocess
from base64 import b64decode
from hashlib import sha256

import pytest

from qsh.client.host.randomart import randomart


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
@pytest.mark.parametrize(("kind", "title"), [("ed25519", "ED25519 256"), ("rsa", "RSA 3072"),
                                             ("ecdsa", "ECDSA 256")])
def test_as_ssh_keygen_draws_it(tmp_path, kind, title):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
    drawn = subprocess.run(["ssh-keygen", "-lv", "-f", key], capture_output=True, text=True,
                           check=True).stdout.splitlines()[1:]
    blob = b64decode((tmp_path / "key.pub").read_text().split()[1])
    assert randomart(sha256(blob).digest(), title, "SHA256") == drawn


def test_a_label_that_does_not_fit_is_left_out():
    assert randomart(b"", "x" * 30, "SHA256")[0] == "+" + "-" * 17 + "+"
