import pytest

from qsh.config.key_exchange import GROUPS, KEY_EXCHANGES, groups_of
from qsh.config.values import AlgorithmList


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ("curve25519-sha256", ("x25519",)),
        ("curve25519-sha256@libssh.org,curve25519-sha256", ("x25519",)),
        ("diffie-hellman-group14-sha256,ecdh-sha2-nistp384,*nistp256", ("secp384r1", "secp256r1")),
        ("-mlkem*", ("x25519", "secp256r1", "secp384r1")),
        ("^ecdh*", ("secp256r1", "secp384r1", "X25519MLKEM768", "x25519")),
        ("+diffie-hellman-group1-sha1", ("X25519MLKEM768", "x25519", "secp256r1", "secp384r1")),
        ("X25519MLKEM768", ("X25519MLKEM768",)),
    ],
)
def test_names_of_ssh_stand_for_groups_of_tls(written, groups):
    assert groups_of(KEY_EXCHANGES.read((written,))) == groups


@pytest.mark.parametrize(
    "written", ["diffie-hellman-group14-sha256", "sntrup761x25519-sha512", "-*", "nonsense"]
)
def test_a_list_that_leaves_nothing_is_refused(written):
    with pytest.raises(ValueError, match="leaves no key exchange"):
        KEY_EXCHANGES.read((written,))


def test_without_a_word_the_engine_chooses():
    assert groups_of(AlgorithmList()) == ()


def test_all_that_is_listed_leads_somewhere():
    assert all(groups_of(KEY_EXCHANGES.read((name,))) for name in GROUPS)
