"""A host that vouches for its user, judged as a worker would ask for it."""

import pytest

from qsh import log
from qsh.auth.signing import hostbased_data, session_identifier
from qsh.record import replace
from qsh.server.monitor import hostbased_check, rhosts
from qsh.server.monitor.messages import Outcome
from qsh.wire.userauth_messages import HostbasedRequest
from tests.key_making import ED25519, OTHER
from tests.unit.server.monitor.test_login_check import ATTESTATION, EXPORTER, SESSION, USER, Judge

CLAIM = HostbasedRequest("ssh-ed25519", ED25519.public.blob, "client.example.", "alice", b"")
FROM_PACKET = "HostbasedUsesNameFromPacketOnly yes"


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A judge who believes client.example about alice: judge(*options)."""
    known, own = tmp_path / "known", tmp_path / ".shosts"
    known.write_text(f"client.example {ED25519.public.authorized_line()}\n")
    own.write_text("client.example alice\n")
    monkeypatch.setattr(hostbased_check, "SYSTEM_FILES", (str(known),))
    monkeypatch.setattr(hostbased_check, "OWN_FILES", (str(tmp_path / "own_known"),))
    monkeypatch.setattr(rhosts, "OWN", (str(own),))
    monkeypatch.setattr(rhosts, "EQUIVALENT", ())

    def make(*options):
        one = Judge(tmp_path, "HostbasedAuthentication yes", "IgnoreRhosts no",
                    "PermitRootLogin yes", *options)
        one.known, one.own = known, own
        return one

    yield make
    log.configure(level=log.Level.INFO)
    log._output.sink = None


def vouch(judge, claim=CLAIM, key=ED25519, session=SESSION, user=USER):
    signature = key.sign(hostbased_data(session, USER, claim), "ssh-ed25519")
    return judge.ask(replace(claim, signature=signature), user=user).outcome


def test_a_host_that_is_listed_and_known_vouches(judge):
    one = judge(FROM_PACKET)
    assert vouch(one) == Outcome.ACCEPTED
    assert one.lines[-1] == (
        f"qsh: Accepted hostbased for {USER} from 192.0.2.1 port 4242 qsh/1: ED25519 "
        f'{ED25519.public.fingerprint()}, client user "alice", client host "client.example"'
    )


@pytest.mark.parametrize(
    "change",
    [{"client_host": "other.example."}, {"client_user": "bob"}, {"client_user": ""},
     {"client_user": 'alice" from 198.51.100.9'}, {"client_host": "client.example.\n"},
     {"algorithm": "ssh-rsa"}],
)  # fmt: skip
def test_another_host_or_user_is_refused(judge, change):
    one = judge(FROM_PACKET)
    assert vouch(one, replace(CLAIM, **change)) == Outcome.REFUSED
    assert one.check.login is None
    assert not any("198.51.100.9" in line for line in one.lines)


def test_a_signature_by_another_key_or_for_another_connection_is_refused(judge):
    assert vouch(judge(FROM_PACKET), key=OTHER) == Outcome.REFUSED
    other = session_identifier(EXPORTER, ATTESTATION + b"'")
    assert vouch(judge(FROM_PACKET), session=other) == Outcome.REFUSED


def test_a_key_that_is_not_the_hosts_is_refused(judge):
    one = judge(FROM_PACKET)
    claim = replace(CLAIM, key_blob=OTHER.public.blob)
    assert vouch(one, claim, OTHER) == Outcome.REFUSED
    one = judge(FROM_PACKET)
    one.known.write_text(f"@revoked * {ED25519.public.authorized_line()}\n{one.known.read_text()}")
    assert vouch(one) == Outcome.REFUSED


def test_the_name_in_the_packet_counts_only_where_it_is_said_so(judge):
    one = judge()
    assert vouch(one) == Outcome.REFUSED
    one = judge()
    one.own.write_text("192.0.2.1 alice\n")
    one.known.write_text(f"192.0.2.1 {ED25519.public.authorized_line()}\n")
    assert vouch(one) == Outcome.ACCEPTED


def test_it_is_off_by_default_and_its_algorithms_are_bounded(judge):
    assert vouch(judge(FROM_PACKET, "HostbasedAcceptedAlgorithms rsa-sha2-512")) == Outcome.REFUSED
    one = judge(FROM_PACKET)
    off = Judge(one.keys.parent)
    assert vouch(off) == Outcome.REFUSED
    assert vouch(one, user="no-such-user") == Outcome.REFUSED


def test_the_users_own_known_hosts_may_be_ignored(judge):
    for option, outcome in (("no", Outcome.ACCEPTED), ("yes", Outcome.REFUSED)):
        one = judge(FROM_PACKET, f"IgnoreUserKnownHosts {option}")
        one.keys.with_name("own_known").write_text(one.known.read_text())
        one.known.write_text("")
        assert vouch(one) == outcome
        one.known.write_text(one.keys.with_name("own_known").read_text())
