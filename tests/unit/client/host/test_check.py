"""Who is trusted: real attestations, real known_hosts files, on a simulated network."""

import asyncio
import resource
import signal
import subprocess

import pytest

from qsh import log
from qsh.auth.blobs import CertificateKind
from qsh.auth.known_hosts_file import entry_line
from qsh.client.host import check as hostkey
from qsh.client.host.check import HostCheck
from qsh.client.host.proofs import read_proof
from qsh.config.client_settings import ClientSettings
from qsh.config.values import AlgorithmList
from qsh.errors import HostKeyError
from qsh.quic.identity import encode_attestation, make_certificate, new_identity_key
from tests.attested import Answers, Host
from tests.key_making import AUTHORITY, ECDSA, ED25519, OTHER, RSA, certify
from tests.pair import Pair, run

NOW = 1_800_000_000.0


@pytest.fixture
def hosts(tmp_path):
    return tmp_path / "known_hosts"


@pytest.fixture
def check(hosts, capfd):
    """Connect to a host and judge it: check(host, answers…, setting=…) → trust."""

    def make(host, *answers, port=22, again=False, **settings):
        prompter = Answers(*answers)
        settings = ClientSettings(**{
            "original_host": "h", "hostname": "example.org", "user": "u", "port": port,
            "user_known_hosts_files": (str(hosts),), **settings,
        })

        async def main():
            async with host.connected() as client:
                proving = asyncio.ensure_future(host.prove())
                try:
                    judge = HostCheck(client, read_proof(client), settings, prompter, NOW)
                    trust = await (judge.run_again() if again else judge.run())
                    assert client.wire.is_open
                    return trust
                finally:
                    proving.cancel()

        make.prompter = prompter
        return run(main())

    yield make
    log._output.level = log.Level.INFO


def know(hosts, *keys, name="example.org", port=22, marker=""):
    with hosts.open("ab") as file:
        for key in keys:
            file.write(marker.encode() + entry_line(name, port, key.public))


@pytest.mark.parametrize("key", [ED25519, ECDSA[256], RSA])
def test_a_known_host_is_trusted_without_a_word(check, hosts, key, capfd):
    know(hosts, key)
    assert not check(Host(key)).is_changed
    assert check.prompter.asked == []
    assert capfd.readouterr().err == ""


def test_the_user_is_asked_and_the_host_written_down(check, hosts, capfd):
    check(Host(ED25519), "perhaps", "YES", port=2222)
    (first, echo), (second, _) = check.prompter.asked
    assert echo
    assert "'[example.org]:2222 (192.0.2.2)' can't be established" in first
    assert f"ED25519 key fingerprint is {ED25519.public.fingerprint()}." in first
    assert second == "Please type 'yes', 'no' or the fingerprint: "
    assert hosts.read_bytes() == entry_line("example.org", 2222, ED25519.public)
    assert "added '[example.org]:2222' (ED25519) to the list" in capfd.readouterr().err
    check(Host(ED25519), port=2222)
    assert check.prompter.asked == []


def test_the_fingerprint_shown_is_ssh_keygens(check, hosts):
    check(Host(RSA), "yes")
    shown = subprocess.run(["ssh-keygen", "-lf", hosts], capture_output=True, text=True,
                           check=True).stdout.split()[1]
    assert f"RSA key fingerprint is {shown}." in check.prompter.asked[0][0]


def test_the_fingerprint_is_an_answer(check, hosts):
    check(Host(ED25519), OTHER.public.fingerprint(), ED25519.public.fingerprint())
    assert len(check.prompter.asked) == 2
    assert hosts.exists()


def test_no_is_no(check, hosts):
    with pytest.raises(HostKeyError, match="host key verification failed"):
        check(Host(ED25519), "no")
    assert not hosts.exists()


def test_nobody_to_ask(check, hosts):
    with pytest.raises(HostKeyError, match="nobody is there") as caught:
        check(Host(ED25519))
    assert ED25519.public.fingerprint() in caught.value.__notes__[0]


def test_strict_yes_neither_asks_nor_adds(check, hosts):
    with pytest.raises(HostKeyError, match="StrictHostKeyChecking is yes"):
        check(Host(ED25519), "yes", strict_host_key_checking="yes")
    assert check.prompter.asked == []
    assert not hosts.exists()


@pytest.mark.parametrize("strict", ["accept-new", "no"])
def test_new_hosts_are_added_without_asking(check, hosts, strict):
    check(Host(ED25519), strict_host_key_checking=strict)
    assert check.prompter.asked == []
    assert hosts.read_bytes() == entry_line("example.org", 22, ED25519.public)


def test_names_may_be_hashed(check, hosts):
    check(Host(ED25519), "yes", hash_known_hosts=True)
    assert hosts.read_bytes().startswith(b"|1|")
    check(Host(ED25519))


@pytest.mark.parametrize("strict", ["ask", "yes", "accept-new"])
def test_a_changed_key_is_refused_with_file_line_and_remedy(check, hosts, capfd, strict):
    hosts.write_text("# first line\n")
    know(hosts, ED25519, port=2222)
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(OTHER), "yes", strict_host_key_checking=strict, port=2222)
    shown = capfd.readouterr().err
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in shown
    assert f"Offending key in {hosts}:2" in shown
    assert f'ssh-keygen -f "{hosts}" -R "[example.org]:2222"' in shown
    assert OTHER.public.fingerprint() in shown
    assert check.prompter.asked == []


def test_a_changed_key_with_checking_off_means_no_secrets(check, hosts, capfd):
    know(hosts, ED25519)
    assert check(Host(OTHER), strict_host_key_checking="no").is_changed
    assert "HAS CHANGED" in capfd.readouterr().err


def test_a_revoked_key_is_refused_whatever_is_set(check, hosts, capfd):
    know(hosts, ED25519)
    know(hosts, ED25519, marker="@revoked ")
    with pytest.raises(HostKeyError):
        check(Host(ED25519), "yes", strict_host_key_checking="no")
    assert "REVOKED HOST KEY" in capfd.readouterr().err


def test_the_key_of_a_session_is_trusted_again_whatever_is_known(check, hosts):
    """It was decided when the session began, perhaps by the user's word alone."""
    assert check(Host(ED25519), again=True) is None
    know(hosts, OTHER)
    check(Host(ED25519), again=True)
    assert check.prompter.asked == []


def test_but_not_once_it_is_revoked(check, hosts, tmp_path, capfd):
    know(hosts, ED25519, marker="@revoked ")
    with pytest.raises(HostKeyError, match="host key verification failed"):
        check(Host(ED25519), again=True)
    hosts.unlink()
    revoked = tmp_path / "revoked"
    revoked.write_text(ED25519.public.authorized_line() + "\n")
    with pytest.raises(HostKeyError, match="host key verification failed"):
        check(Host(ED25519), again=True, revoked_host_keys=str(revoked))
    assert "revoked" in capfd.readouterr().err
    with pytest.raises(HostKeyError, match="no host is trusted without it"):
        check(Host(ED25519), again=True, revoked_host_keys=str(tmp_path / "missing"))


def test_revoked_host_keys_file(check, hosts, tmp_path, capfd):
    know(hosts, ED25519)
    revoked = tmp_path / "revoked"
    with pytest.raises(HostKeyError, match="no host is trusted"):
        check(Host(ED25519), revoked_host_keys=str(revoked))
    revoked.write_text(OTHER.public.authorized_line() + "\n")
    check(Host(ED25519), revoked_host_keys=str(revoked))
    revoked.write_text(ED25519.public.authorized_line() + "\n")
    with pytest.raises(HostKeyError):
        check(Host(ED25519), revoked_host_keys=str(revoked))
    assert str(revoked) in capfd.readouterr().err


def host_certificate(*principals):
    made = certify(ED25519.public, kind=CertificateKind.HOST, principals=principals,
                   extensions=())
    return Host(ED25519.with_certificate(made))


def test_host_certificates(check, hosts, capfd):
    know(hosts, AUTHORITY, marker="@cert-authority ")
    check(host_certificate("example.org"))
    assert check.prompter.asked == []
    check(host_certificate("other.org"), "yes")
    assert "certificate is not for host example.org" in check.prompter.asked[0][0]


def test_a_key_of_another_type_must_be_proved(check, hosts, capfd):
    know(hosts, RSA)
    assert not check(Host(ED25519, RSA)).is_changed
    assert check.prompter.asked == []
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(ED25519, ECDSA[256]), "yes")
    assert "Only keys of other types are known for it (ssh-rsa)" in capfd.readouterr().err


def test_a_key_that_may_not_be_used_proves_nothing(check, hosts, tmp_path, capfd):
    know(hosts, RSA)
    revoked = tmp_path / "revoked"
    revoked.write_text(RSA.public.authorized_line() + "\n")
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(ED25519, RSA), revoked_host_keys=str(revoked))
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(ED25519, RSA), required_rsa_size=3072)
    know(hosts, RSA, marker="@revoked ")
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(ED25519, RSA))


def test_an_address_with_another_key_is_not_talked_away(check, hosts, capfd):
    know(hosts, ED25519)
    know(hosts, RSA, name="192.0.2.2")
    with pytest.raises(HostKeyError, match="has changed"):
        check(Host(ED25519, ED25519), check_host_ip=True)


def test_a_false_proof_is_none(check, hosts, monkeypatch, capfd):
    know(hosts, RSA)
    host = Host(ED25519, RSA)
    monkeypatch.setattr(Host, "session_id", property(lambda self: bytes(64)))
    with pytest.raises(HostKeyError, match="has changed"):
        check(host)


def test_an_alias_is_looked_up_without_port(check, hosts):
    check(Host(ED25519), "yes", host_key_alias="Farm", port=2222)
    assert hosts.read_bytes() == entry_line("farm", 22, ED25519.public)
    check(Host(ED25519), host_key_alias="farm", port=2223)
    assert check.prompter.asked == []


def test_where_the_host_cannot_be_written_down_there_is_a_warning(check, hosts, capfd):
    hosts.mkdir()
    assert not check(Host(ED25519), "yes").is_changed
    assert "cannot add the host" in capfd.readouterr().err


def test_a_full_disk_is_a_warning_too(check, hosts, capfd):
    hosts.write_text("# as long as files may be\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hosts.stat().st_size, before[1]))
        assert not check(Host(ED25519), "yes").is_changed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert hosts.read_text() == "# as long as files may be\n"
    assert "cannot add the host" in capfd.readouterr().err


def test_algorithms_and_sizes(check, hosts):
    know(hosts, RSA)
    with pytest.raises(HostKeyError, match="HostKeyAlgorithms"):
        check(Host(RSA), host_key_algorithms=AlgorithmList("", ("ssh-ed25519",)))
    with pytest.raises(HostKeyError, match="HostKeyAlgorithms"):
        check(Host(RSA), host_key_algorithms=AlgorithmList("-", ("rsa-*",)))
    check(Host(RSA), host_key_algorithms=AlgorithmList("", ("rsa-sha2-256",)))
    with pytest.raises(HostKeyError, match="2048 bits"):
        check(Host(RSA), required_rsa_size=3072)


def test_a_strange_host_is_asked_for_a_key_that_may_be(check, hosts):
    host = Host(RSA, ECDSA[256], ED25519)
    wanted = AlgorithmList("", ("ssh-ed25519", "ecdsa*"))
    check(host, "yes", host_key_algorithms=wanted)
    assert ED25519.public.fingerprint() in check.prompter.asked[0][0]
    assert hosts.read_bytes() == entry_line("example.org", 22, ED25519.public)


def test_a_key_that_is_listed_and_not_proved_is_not_believed(check, hosts):
    host = Host(RSA, ECDSA[256])
    host.sign_nothing = True
    wanted = AlgorithmList("", ("ecdsa*",))
    with pytest.raises(HostKeyError, match="HostKeyAlgorithms"):
        check(host, "yes", host_key_algorithms=wanted)
    assert not check.prompter.asked
    assert not hosts.exists()


def test_the_picture_is_shown_on_request(check, hosts, capfd):
    check(Host(ED25519), "yes", visual_host_key=True)
    assert "+--[ED25519 256]--+" in check.prompter.asked[0][0]
    capfd.readouterr()
    check(Host(ED25519), visual_host_key=True)
    shown = capfd.readouterr().err
    assert f"Host key fingerprint is {ED25519.public.fingerprint()}\n+--[ED25519 256]" in shown


def test_md5_fingerprints(check, hosts):
    check(Host(ED25519), ED25519.public.fingerprint("md5"), fingerprint_hash="md5")
    assert "MD5:" in check.prompter.asked[0][0]


async def proof_of(identify):
    async with Pair(identify=identify) as pair:
        return read_proof(pair.client)


def test_a_signature_of_another_connection_is_worthless(hosts):
    host = Host(ED25519)
    host.identify(bytes(16))

    def replayed(original_id):
        return make_certificate(new_identity_key(), host.attestation)

    with pytest.raises(HostKeyError, match="did not prove"):
        run(proof_of(replayed))


def test_a_server_without_attestation(monkeypatch):
    from qsh.quic import identity

    monkeypatch.setattr(identity, "ATTESTATION_OID", "2.25.1")
    monkeypatch.setattr(identity, "ATTESTATION_OID_DER", b"never")

    def bare(original_id):
        return make_certificate(new_identity_key(), encode_attestation(b"", bytes(32), b""))

    with pytest.raises(HostKeyError, match="no qsh server"):
        run(proof_of(bare))


def test_the_session_identifier_is_the_servers():
    host = Host(ED25519)

    async def main():
        async with host.connected() as client:
            await host.pair.server.handshaken()
            return read_proof(client).session_id, host.session_id

    ours, theirs = run(main())
    assert ours == theirs
    assert len(ours) == 64


def test_this_machine_may_go_unchecked(hosts):
    assert hostkey.is_loopback("127.1.2.3")
    assert hostkey.is_loopback("::1")
    assert not hostkey.is_loopback("192.0.2.2")
    assert not hostkey.is_loopback("localhost")


def test_another_machine_is_checked_all_the_same(check):
    with pytest.raises(HostKeyError):
        check(Host(ED25519), no_host_authentication_for_localhost=True)


def test_the_address_is_written_down_with_checkhostip(check, hosts):
    know(hosts, ED25519, port=2222)
    check(Host(ED25519), port=2222, check_host_ip=True)
    expected = entry_line("example.org", 2222, ED25519.public)
    assert hosts.read_bytes() == expected + entry_line("192.0.2.2", 2222, ED25519.public)
    check(Host(ED25519), port=2222, check_host_ip=True)
    assert hosts.read_bytes().count(b"\n") == 2


def test_a_key_that_is_not_wanted_may_vouch_for_nothing_and_another_is_proved(check, hosts):
    know(hosts, RSA)
    wanted = AlgorithmList("", ("rsa-sha2-*",))
    assert check(Host(ED25519, RSA), host_key_algorithms=wanted).by_own_list
    with pytest.raises(HostKeyError, match="HostKeyAlgorithms does not allow"):
        check(Host(ED25519), host_key_algorithms=wanted)
