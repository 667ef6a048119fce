"""`-Q`: names of algorithms, checked against the real ssh's."""

import shutil
import subprocess

import pytest

from qsh.auth.blobs import ALGORITHMS
from qsh.client.queries import FEATURES, KEYWORDS, names_of
from qsh.errors import UsageError

SHA1_AND_DSS = {"ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "ssh-dss",
                "ssh-dss-cert-v01@openssh.com"}  # fmt: skip


def test_help_lists_all_kinds():
    assert set(names_of("help")) == set(FEATURES)


def test_keywords_stand_for_kinds():
    assert names_of("PubkeyAcceptedAlgorithms") == names_of("key-sig")
    assert set(KEYWORDS.values()) <= set(FEATURES)


def test_keys_are_those_that_are_known():
    assert set(names_of("key")) == ALGORITHMS
    assert set(names_of("key-plain")) | set(names_of("key-cert")) == ALGORITHMS


def test_an_unknown_kind():
    with pytest.raises(UsageError, match="-Q help"):
        names_of("nonsense")


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs ssh")
@pytest.mark.parametrize("kind", ["key", "key-plain", "key-cert", "key-sig", "sig"])
def test_the_lists_are_those_of_ssh_but_for_sha1_and_dss(kind):
    done = subprocess.run(["ssh", "-Q", kind], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - SHA1_AND_DSS == set(names_of(kind)) - SHA1_AND_DSS
