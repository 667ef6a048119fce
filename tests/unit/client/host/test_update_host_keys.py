"""UpdateHostKeys: what an announcement does to known_hosts."""

import asyncio

import pytest

from qsh.auth.known_hosts_file import entry_line
from qsh.client.host.proofs import read_proof
from qsh.client.host.update_host_keys import QUESTION, HostKeyUpdate
from qsh.config.client_settings import ClientSettings
from qsh.config.values import AlgorithmList
from qsh.wire.global_messages import HostKeysAnnounce
from qsh.wire.userauth_messages import NoneRequest
from tests.attested import Answers, Host
from tests.key_making import ECDSA, ED25519, OTHER, RSA
from tests.pair import run


@pytest.fixture
def hosts(tmp_path):
    return tmp_path / "known_hosts"


def line(key, name="example.org", port=2222):
    return entry_line(name, port, key.public).decode()


def announced(hosts, *keys, answers=(), may_update=True, provable=None, **settings):
    """Connect, announce the keys, end; the questions that were asked."""
    prompter = Answers(*answers)
    settings = ClientSettings(**{
        "original_host": "h", "hostname": "example.org", "user": "u", "port": 2222,
        "user_known_hosts_files": (str(hosts),), "update_host_keys": "yes", **settings,
    })  # fmt: skip
    host = Host(ED25519, *(keys if provable is None else provable))

    async def main():
        async with host.connected() as client:
            proof = read_proof(client)
            client.trust()
            client.login.request("u", NoneRequest())  # opens the control stream
            update = HostKeyUpdate(client, proof, settings, prompter, may_update=may_update)
            proving = asyncio.ensure_future(host.prove())
            await host.pair.server.next_login_event()
            body = HostKeysAnnounce(tuple(key.public.blob for key in keys))
            await host.pair.server.request(body, want_reply=False)
            await asyncio.sleep(1)
            await update.finish()
            proving.cancel()

    run(main())
    return [text for text, _ in prompter.asked]


def test_a_new_key_is_learnt_and_an_old_one_forgotten(hosts):
    hosts.write_text("# mine\n" + line(ED25519) + line(OTHER) + line(RSA, "other.example.org"))
    announced(hosts, ED25519, RSA)
    assert hosts.read_text() == (
        "# mine\n" + line(ED25519) + line(RSA, "other.example.org") + line(RSA)
    )


def test_nothing_changes_without_a_proof(hosts):
    hosts.write_text(line(ED25519))
    announced(hosts, ED25519, RSA, provable=())
    assert hosts.read_text() == line(ED25519)


def test_nothing_changes_if_nothing_is_new(hosts):
    hosts.write_text(line(ED25519))
    announced(hosts, ED25519)
    assert hosts.read_text() == line(ED25519)


@pytest.mark.parametrize(
    "more", [{"may_update": False}, {"update_host_keys": "no"}, {"host_key_alias": "alias"}]
)
def test_nothing_changes_where_it_must_not(hosts, more):
    hosts.write_text(line(ED25519))
    announced(hosts, ED25519, RSA, **more)
    assert hosts.read_text() == line(ED25519)


def test_an_alias_is_updated_under_its_own_name(hosts):
    hosts.write_text(line(ED25519, "alias", 22))
    announced(hosts, ED25519, RSA, host_key_alias="alias")
    assert hosts.read_text() == line(ED25519, "alias", 22) + line(RSA, "alias", 22)


@pytest.mark.parametrize("names", ["[example.org]:2222,[b]:2222", "[example.*]:2222"])
def test_lines_for_more_than_this_host_are_left_alone(hosts, names):
    text = f"{names} {ED25519.public.authorized_line()}\n"
    hosts.write_text(text)
    announced(hosts, ED25519, RSA)
    assert hosts.read_text() == text


def test_a_host_with_a_revoked_key_is_left_alone(hosts):
    text = line(ED25519) + "@revoked " + line(OTHER)
    hosts.write_text(text)
    announced(hosts, ED25519, OTHER)
    assert hosts.read_text() == text


def test_keys_that_the_settings_forbid_are_not_learnt(hosts):
    hosts.write_text(line(ED25519))
    announced(hosts, ED25519, RSA, ECDSA[256], provable=(ECDSA[256],), required_rsa_size=3072)
    assert hosts.read_text() == line(ED25519) + line(ECDSA[256])
    announced(hosts, ED25519, ECDSA[256], ECDSA[384],
              host_key_algorithms=AlgorithmList("-", ("*384",)))  # fmt: skip
    assert hosts.read_text() == line(ED25519) + line(ECDSA[256])


@pytest.mark.parametrize(("answer", "taken"), [("yes", True), ("no", False), (None, False)])
def test_the_user_is_asked(hosts, answer, taken, capfd):
    hosts.write_text(line(ED25519))
    asked = announced(hosts, ED25519, RSA, answers=[answer], update_host_keys="ask")
    assert asked == [QUESTION]
    assert (line(RSA) in hosts.read_text()) is taken
    assert f"Learned new hostkey: RSA {RSA.public.fingerprint()}" in capfd.readouterr().err
