"""HostKeyAlgorithms and PubkeyAcceptedAlgorithms."""

import pytest

from qsh.client.login.algorithms import allowed_names, allows
from qsh.config.values import AlgorithmList
from tests.key_making import ECDSA, ED25519, RSA, certify


@pytest.mark.parametrize(
    ("wanted", "ed25519", "rsa", "certificate"),
    [
        (AlgorithmList(), True, True, True),
        (AlgorithmList("", ("ssh-ed25519",)), True, False, False),
        (AlgorithmList("", ("rsa-sha2-256",)), False, True, False),
        (AlgorithmList("-", ("rsa-*", "*cert*")), True, False, False),
        (AlgorithmList("^", ("rsa-sha2-256",)), True, True, True),
        (AlgorithmList("", ("*-cert-*",)), False, False, True),
        (AlgorithmList("", ("ssh-rsa",)), False, False, False),
    ],
)
def test_who_is_allowed(wanted, ed25519, rsa, certificate):
    assert allows(wanted, ED25519.public) is ed25519
    assert allows(wanted, RSA.public) is rsa
    assert allows(wanted, certify(ECDSA[256].public)) is certificate


def test_no_sha1():
    assert not any(name.startswith("ssh-rsa") for name in allowed_names(AlgorithmList()))
    assert allowed_names(AlgorithmList("^", ("rsa-sha2-256",)))[0] == "rsa-sha2-256"
