"""The monitor's judgement, asked as a worker would, with real keys and signatures."""

import pytest

from qsh import log
from qsh.auth.signing import session_identifier, sign_userauth
from qsh.config.lines import parse_option
from qsh.config.server import load_server
from qsh.server.accounts import accounts, shadow
from qsh.server.accounts.environment import Peers
from qsh.server.monitor.login_check import LoginCheck
from qsh.server.monitor.login_report import key_label
from qsh.server.monitor.messages import CheckLogin, Outcome
from qsh.wire.codec import encode_body
from qsh.wire.userauth_messages import HostboundRequest, NoneRequest, PublicKeyRequest
from tests.key_making import ED25519, OTHER, RSA

USER = accounts.own_account().name
ATTESTATION, HOST_KEY, EXPORTER = b"attestation", b"host key", b"e" * 32
SESSION = session_identifier(EXPORTER, ATTESTATION)


class Judge:
    """A LoginCheck over a folder's authorized_keys, and what it logged."""

    def __init__(self, folder, *options):
        self.keys = folder / "authorized_keys"
        lines = [f"AuthorizedKeysFile {self.keys}", "StrictModes no", *options,
                 "PasswordAuthentication no"]
        config = load_server("none", [parse_option(line) for line in lines])
        peers = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))
        self.check = LoginCheck(config, peers, ATTESTATION, HOST_KEY, lambda: 1.8e9)
        self.lines = []
        log.configure(sink=lambda _, line: self.lines.append(line), level=log.Level.VERBOSE)

    def authorize(self, key=ED25519, options=""):
        self.keys.write_text(f"{options} {key.public.authorized_line()}\n")
        return self

    def ask(self, body, user=USER, exporter=EXPORTER, service="ssh-connection"):
        request = CheckLogin(exporter, user, service, body.method, encode_body(body))
        return self.check.check(request)

    def log_in(self, key=ED25519, session=SESSION, user=USER, algorithm=None):
        algorithm = algorithm or key.public.signature_algorithms[0]
        signature = sign_userauth(key.sign, key.public, session, user, algorithm)
        return self.ask(PublicKeyRequest(algorithm, key.public.blob, signature), user=user)


@pytest.fixture
def judge(tmp_path):
    yield lambda *options: Judge(tmp_path, *options)
    log.configure(level=log.Level.INFO)
    log._output.sink = None


def test_accepted(judge):
    one = judge().authorize(options='command="ls"')
    verdict = one.log_in()
    assert (verdict.outcome, verdict.pty) == (Outcome.ACCEPTED, True)
    assert one.check.login.permissions.command == b"ls"
    assert one.check.login.account.name == USER
    assert one.lines == [
        f"qsh: Accepted publickey for {USER} from 192.0.2.1 port 4242 qsh/1: "
        f"ED25519 {ED25519.public.fingerprint()}"
    ]


def test_a_key_is_confirmed_before_it_signs(judge):
    one = judge().authorize()
    body = PublicKeyRequest("ssh-ed25519", ED25519.public.blob)
    assert one.ask(body).outcome == Outcome.KEY_OK
    assert one.check.login is None
    assert one.ask(PublicKeyRequest("ssh-ed25519", OTHER.public.blob)).outcome == Outcome.REFUSED


def test_a_signature_for_another_connection_is_worthless(judge):
    one = judge().authorize()
    for session in (
        session_identifier(b"x" * 32, ATTESTATION),
        session_identifier(EXPORTER, b"another host's"),
    ):
        assert one.log_in(session=session).outcome == Outcome.REFUSED
    assert one.check.login is None


def test_a_lie_about_the_exporter_ends_it(judge):
    one = judge().authorize()
    assert one.ask(NoneRequest()).outcome == Outcome.REFUSED
    assert one.ask(NoneRequest(), exporter=b"x" * 32).outcome == Outcome.TOO_MANY
    assert one.ask(NoneRequest(), exporter=b"").outcome == Outcome.TOO_MANY


def test_the_user_cannot_change(judge):
    one = judge().authorize()
    assert one.ask(NoneRequest()).outcome == Outcome.REFUSED
    assert one.ask(NoneRequest(), user="mallory").outcome == Outcome.TOO_MANY
    assert "Change of username or service not allowed" in one.lines[-1]
    assert one.ask(NoneRequest(), service="shell").outcome == Outcome.TOO_MANY


def test_unknown_users_look_like_others(judge):
    one = judge().authorize()
    verdict = one.log_in(user="no-such-user")
    assert (verdict.outcome, verdict.methods) == (Outcome.REFUSED, ("publickey",))
    assert one.lines == [
        "qsh: Invalid user no-such-user from 192.0.2.1 port 4242",
        "qsh: Failed publickey for invalid user no-such-user from 192.0.2.1 port 4242 qsh/1: "
        f"ED25519 {ED25519.public.fingerprint()}",
    ]


def test_a_long_name_neither_fills_the_log_nor_hides_the_address(judge):
    """30 000 bytes come in one request of a stranger's, and each control character has four of
    them in the log."""
    one = judge().authorize()
    name = "\a" * 30_000
    assert one.log_in(user=name).outcome == Outcome.REFUSED
    request = CheckLogin(EXPORTER, name, "ssh-connection", name, b"")
    assert one.check.check(request).outcome == Outcome.REFUSED
    request = CheckLogin(EXPORTER, name, name, "none", b"")
    assert one.check.check(request).outcome == Outcome.TOO_MANY
    assert max(map(len, one.lines)) < 4000
    assert all("192.0.2.1" in line for line in one.lines if "Change of" not in line)
    assert len(one.lines) == 4


def test_max_auth_tries(judge):
    one = judge("MaxAuthTries 3").authorize()
    assert one.ask(NoneRequest()).outcome == Outcome.REFUSED  # free
    outcomes = [one.log_in(OTHER).outcome for _ in range(3)]
    assert outcomes == [Outcome.REFUSED, Outcome.REFUSED, Outcome.TOO_MANY]
    assert one.lines[-1] == (
        f"qsh: maximum authentication attempts exceeded for {USER} "
        "from 192.0.2.1 port 4242 qsh/1 [preauth]"
    )


def test_hostbound(judge):
    one = judge().authorize()
    key = ED25519.public

    def signed_for(host_key):
        signature = sign_userauth(ED25519.sign, key, SESSION, USER, "ssh-ed25519", host_key)
        return HostboundRequest("ssh-ed25519", key.blob, host_key, signature)

    assert one.ask(signed_for(b"another host")).outcome == Outcome.REFUSED
    assert one.ask(signed_for(HOST_KEY)).outcome == Outcome.ACCEPTED


def test_algorithms(judge):
    one = judge("PubkeyAcceptedAlgorithms -rsa-sha2-256").authorize(RSA)
    assert one.log_in(RSA, algorithm="rsa-sha2-256").outcome == Outcome.REFUSED
    assert one.ask(PublicKeyRequest("ssh-rsa", RSA.public.blob)).outcome == Outcome.REFUSED
    assert one.log_in(RSA).outcome == Outcome.ACCEPTED


def test_short_rsa(judge):
    one = judge("RequiredRSASize 3072").authorize(RSA)
    assert one.log_in(RSA).outcome == Outcome.REFUSED


def test_partial_success(judge):
    one = judge("AuthenticationMethods publickey,publickey")
    one.keys.write_text(
        f"{ED25519.public.authorized_line()}\n{OTHER.public.authorized_line()}\n"
    )
    assert one.log_in().outcome == Outcome.PARTIAL
    assert one.log_in().outcome == Outcome.REFUSED  # the same key does not count twice
    assert one.log_in(OTHER).outcome == Outcome.ACCEPTED


def test_lists_that_cannot_be_done_let_nobody_in(judge):
    one = judge("AuthenticationMethods publickey,password").authorize()
    assert one.log_in().outcome == Outcome.REFUSED
    assert "no list of AuthenticationMethods can be satisfied" in one.lines[0]


def test_password_is_not_offered(judge):
    assert judge().authorize().ask(NoneRequest()).methods == ("publickey",)
    assert judge("PubkeyAuthentication no").authorize().log_in().outcome == Outcome.REFUSED


def test_banner_comes_once(judge, tmp_path):
    (tmp_path / "banner").write_text("authorized use only\n")
    one = judge(f"Banner {tmp_path / 'banner'}")
    assert one.ask(NoneRequest()).banner == "authorized use only\n"
    assert one.ask(NoneRequest()).banner == ""


def test_account_checks(judge, monkeypatch):
    monkeypatch.setattr(shadow, "read_entry", lambda _: shadow.ShadowEntry(USER, "!locked"))
    one = judge().authorize()
    assert one.log_in().outcome == Outcome.REFUSED
    assert one.lines[0] == f"qsh: User {USER} not allowed because account is locked"


def test_denied_by_list(judge):
    one = judge(f"DenyUsers {USER}").authorize()
    assert one.log_in().outcome == Outcome.REFUSED
    assert "listed in DenyUsers" in one.lines[0]


def test_match_blocks_count(judge, tmp_path):
    config = tmp_path / "config"
    config.write_text(
        f"AuthorizedKeysFile {tmp_path}/authorized_keys\nStrictModes no\n"
        "Match Address 192.0.2.0/24\n  PermitTTY no\n  MaxSessions 3\n"
    )
    one = judge()
    one.check.config = load_server(str(config))
    verdict = one.authorize().log_in()
    assert (verdict.outcome, verdict.pty, verdict.max_sessions) == (Outcome.ACCEPTED, False, 3)


def test_nologin(judge, monkeypatch):
    monkeypatch.setattr(accounts, "nologin_text", lambda _: "down for repair\n")
    verdict = judge().authorize().log_in()
    assert (verdict.outcome, verdict.banner) == (Outcome.REFUSED, "down for repair\n")


@pytest.mark.parametrize("user", ["nobody-of-that-name", "daemon"])
def test_nologin_does_not_tell_who_has_an_account(judge, monkeypatch, user):
    monkeypatch.setattr(accounts, "nologin_text", lambda _: "down for repair\n")
    assert judge().authorize().log_in(user=user).banner == "down for repair\n"


def test_revoked_keys_are_looked_up_without_an_account_too(judge):
    one = judge("RevokedKeys /no/such/file").authorize()
    assert one.log_in(user="nobody-of-that-name").outcome == Outcome.REFUSED
    assert any("refusing all keys" in line for line in one.lines)


@pytest.mark.plain
def test_without_root_only_its_own_user(judge):
    one = judge().authorize()
    assert one.log_in(user="root").outcome == Outcome.REFUSED
    assert "not as root" in one.lines[0]


@pytest.mark.root
@pytest.mark.parametrize(
    ("permitted", "options", "outcome"),
    [
        ("yes", "", Outcome.ACCEPTED),
        ("prohibit-password", "", Outcome.ACCEPTED),
        ("no", "", Outcome.REFUSED),
        ("forced-commands-only", "", Outcome.REFUSED),
        ("forced-commands-only", 'command="x"', Outcome.ACCEPTED),
    ],
)
def test_permit_root_login(judge, permitted, options, outcome):
    one = judge(f"PermitRootLogin {permitted}").authorize(options=options)
    assert one.log_in().outcome == outcome
    if outcome == Outcome.REFUSED:
        assert "qsh: ROOT LOGIN REFUSED FROM 192.0.2.1 port 4242" in one.lines


def test_malformed_requests(judge):
    one = judge().authorize()
    for body in (b"", b"\1" * 50):
        request = CheckLogin(EXPORTER, USER, "ssh-connection", "publickey", body)
        assert one.check.check(request).outcome == Outcome.REFUSED


def test_label_of_a_plain_key():
    assert key_label(ED25519.public, "md5").startswith("ED25519 MD5:")
