"""Back to a session by its ticket: what let the client in then must let it in now."""

import os

import pytest

from qsh import log
from qsh.auth.signing import session_identifier, sign_userauth
from qsh.auth.tickets import new_ticket_key, ticket_data
from qsh.config.lines import parse_option
from qsh.config.server import load_server
from qsh.record import replace
from qsh.server.accounts import accounts, shadow
from qsh.server.accounts.environment import Peers
from qsh.server.accounts.rules import Standing
from qsh.server.monitor.kept_sessions import NotKeptError
from qsh.server.monitor.login_check import LoginCheck
from qsh.server.monitor.messages import CheckLogin, Outcome
from qsh.server.monitor.ticket_messages import WriteTicket
from qsh.server.monitor.ticket_rules import refusal, ticket_of, write_for
from qsh.server.monitor.tickets import MAX_TICKETS, Tickets, encode_proofs
from qsh.wire.codec import encode_body
from qsh.wire.userauth_messages import NoneRequest, PasswordRequest, PublicKeyRequest, TicketRequest
from tests.key_making import ED25519, OTHER

USER = accounts.own_account().name
HOST_KEY, EXPORTER, SESSION = b"host key", b"e" * 32, b"0123456789abcdef"
NOW = 1.8e9
DAY = 24 * 3600.0


class Server:
    """Logins at a server whose settings, keys and clock may change between connections."""

    def __init__(self, folder):
        self.folder = folder
        self.keys = folder / "authorized_keys"
        self.tickets = Tickets(f"{folder}/sessions")
        self.now, self.options, self.address = NOW, (), "192.0.2.1"
        self.lines = []
        self.client_key, self.sign = new_ticket_key()
        self.authorize(ED25519.public.authorized_line())
        self.about = folder / "sessions" / f"{os.getuid()}-{SESSION.hex()}.about"
        self.about.parent.mkdir()
        self.about.touch()
        log.configure(sink=lambda _, line: self.lines.append(line), level=log.Level.VERBOSE)

    def authorize(self, *lines):
        self.keys.write_text("".join(f"{line}\n" for line in lines))

    def connect(self):
        """A new connection's LoginCheck; its attestation is another each time."""
        lines = [*self.options, f"AuthorizedKeysFile {self.keys}", "StrictModes no",
                 "PasswordAuthentication no", "UsePAM no"]
        config = load_server("none", [parse_option(line) for line in lines])
        peers = Peers((self.address, 4242), ("198.51.100.1", 22))
        return LoginCheck(config, peers, os.urandom(32), HOST_KEY, lambda: self.now,
                          tickets=self.tickets)

    def log_in(self, *keys):
        """By these keys: the login that stands."""
        check = self.connect()
        session_id = session_identifier(EXPORTER, check.attestation)
        for key in keys or (ED25519,):
            algorithm = key.public.signature_algorithms[0]
            signature = sign_userauth(key.sign, key.public, session_id, USER, algorithm)
            ask(check, PublicKeyRequest(algorithm, key.public.blob, signature))
        assert check.login is not None
        return check.login

    def give_ticket(self, login=None):
        self.tickets.write(ticket_of(login or self.log_in(), self.wish()))
        self.lines.clear()

    def wish(self, session=SESSION):
        return WriteTicket(session, self.client_key)

    def request(self, check, session=SESSION, host_key=HOST_KEY, user=USER):
        session_id = session_identifier(EXPORTER, check.attestation)
        signed = ticket_data(session_id, user, session, self.client_key, host_key)
        return TicketRequest(session, self.client_key, host_key, self.sign(signed))

    def come_back(self, **changes):
        """The outcome, and the connection's LoginCheck."""
        check = self.connect()
        return ask(check, self.request(check, **changes)), check


def ask(check, body, user=USER):
    request = CheckLogin(EXPORTER, user, "ssh-connection", body.method, encode_body(body))
    return check.check(request).outcome


@pytest.fixture
def server(tmp_path):
    yield Server(tmp_path)
    log.configure(level=log.Level.INFO)
    log._output.sink = None


def is_refused(server, why="", **changes):
    outcome, check = server.come_back(**changes)
    return outcome == Outcome.REFUSED and check.login is None and why in "\n".join(server.lines)


def test_back_by_a_ticket(server):
    server.give_ticket()
    before = server.log_in()
    for _ in range(2):  # another signature each time
        outcome, check = server.come_back()
        assert outcome == Outcome.ACCEPTED
        assert check.login.only_session == SESSION
        assert check.login.proof == before.proof
        assert check.login.given == before.given
        assert check.login.permissions == before.permissions
    assert server.lines[-1].startswith(
        f"qsh: Accepted session-ticket@qsh for {USER} from 192.0.2.1 port 4242 qsh/1: publickey"
    )


def test_a_signature_is_good_for_one_connection(server):
    """A used ticket, and a stolen request."""
    server.give_ticket()
    first, second = server.connect(), server.connect()
    request = server.request(first)
    assert ask(first, request) == Outcome.ACCEPTED
    assert ask(second, request) == Outcome.REFUSED
    assert second.login is None


def test_nothing_but_the_signed_counts(server):
    server.give_ticket()
    assert is_refused(server, session=b"f" * 16)
    assert is_refused(server, session=b"")
    assert is_refused(server, session=b"../../../../etc/x")
    assert is_refused(server, host_key=b"another host's")
    assert is_refused(server, user="mallory")
    server.client_key, server.sign = new_ticket_key()
    assert is_refused(server, "no such session ticket")


@pytest.mark.parametrize("field", ["signature", "key_blob"])
def test_garbage_is_refused(server, field):
    server.give_ticket()
    for garbage in (b"", b"x" * 51, b"\0\0\0\x0bssh-ed25519" + b"\xff" * 36):
        check = server.connect()
        request = server.request(check)
        changed = replace(request, **{field: garbage})
        assert ask(check, changed) == Outcome.REFUSED


def test_without_a_ticket(server):
    assert is_refused(server, "no such session ticket")


def test_expiry(server):
    server.give_ticket()
    server.now = NOW + 7 * DAY - 1
    assert server.come_back()[0] == Outcome.ACCEPTED
    server.now = NOW + 7 * DAY
    assert is_refused(server, "it has expired")
    server.now = NOW - DAY  # nor from the future
    assert is_refused(server, "it has expired")


def test_the_administrator_may_shorten_it_afterwards(server):
    server.give_ticket()
    server.now = NOW + 2 * DAY
    server.options = ("SessionTicketLifetime 1d",)
    assert is_refused(server, "it has expired")
    server.options = ("SessionTicketLifetime 0",)
    assert is_refused(server, "it has expired")
    server.options = ("SessionTicketLifetime none",)
    assert server.come_back()[0] == Outcome.ACCEPTED


def test_the_key_must_still_be_authorized(server, tmp_path):
    server.give_ticket()
    server.authorize(OTHER.public.authorized_line())
    assert is_refused(server, "may not log in now")
    server.authorize(ED25519.public.authorized_line())
    assert server.come_back()[0] == Outcome.ACCEPTED
    revoked = tmp_path / "revoked"
    revoked.write_text(ED25519.public.authorized_line() + "\n")
    server.options = (f"RevokedKeys {revoked}",)
    assert is_refused(server, "may not log in now")


def test_options_of_the_key_are_those_of_today(server):
    server.give_ticket()
    server.authorize(f"restrict,pty {ED25519.public.authorized_line()}")
    _, check = server.come_back()
    assert not check.login.permissions.port_forwarding
    assert check.login.permissions.pty
    server.authorize(f'from="198.51.100.*" {ED25519.public.authorized_line()}')
    assert is_refused(server, "may not log in now")
    server.address = "198.51.100.7"
    assert server.come_back()[0] == Outcome.ACCEPTED
    server.authorize(f'expiry-time="20270101" {ED25519.public.authorized_line()}')
    server.now = NOW + 1
    assert is_refused(server, "may not log in now")


@pytest.mark.parametrize(
    "option", [f"DenyUsers {USER}", f"AllowUsers {USER}@10.0.0.0/8", "AllowUsers somebody-else",
               "PubkeyAuthentication no", "AuthenticationMethods publickey,publickey"],
)  # fmt: skip
def test_the_rules_of_today_count(server, option):
    server.give_ticket()
    server.options = (option,)
    assert is_refused(server)


def test_all_keys_of_a_login_with_several(server):
    server.options = ("AuthenticationMethods publickey,publickey",)
    server.authorize(ED25519.public.authorized_line(), OTHER.public.authorized_line())
    server.give_ticket(server.log_in(ED25519, OTHER))
    assert server.come_back()[0] == Outcome.ACCEPTED
    server.authorize(ED25519.public.authorized_line())
    assert is_refused(server, "may not log in now")


def test_half_a_login_is_not_lent_to_another_method(server):
    """What the ticket stands for is not enough any more: it must not count for a part."""
    server.give_ticket()
    server.options = ("AuthenticationMethods publickey,publickey",)
    server.authorize(ED25519.public.authorized_line(), OTHER.public.authorized_line())
    check = server.connect()
    assert ask(check, server.request(check)) == Outcome.REFUSED
    session_id = session_identifier(EXPORTER, check.attestation)
    signature = sign_userauth(OTHER.sign, OTHER.public, session_id, USER, "ssh-ed25519")
    body = PublicKeyRequest("ssh-ed25519", OTHER.public.blob, signature)
    assert ask(check, body) == Outcome.PARTIAL


class Rules:
    """The account's: a password, and a standing."""

    method_detail = ""
    standing = Standing.GOOD

    def check_password(self, password, new_password):
        from qsh.server.accounts.rules import Proof

        return Proof.GOOD

    def check_account(self):
        return self.standing

    def take_notes(self):
        return ""


@pytest.fixture
def by_password(server, monkeypatch):
    """A server where the user has logged in by a password; its `rules`, and shadow(5)'s `hash`."""
    rules = Rules()
    rules.hash = "$y$one"
    monkeypatch.setattr(shadow, "read_entry", lambda user: shadow.ShadowEntry(user, rules.hash))
    monkeypatch.setattr("qsh.server.monitor.login_terms._open_rules", lambda *_, **__: rules)
    monkeypatch.setattr("qsh.server.monitor.login_terms.sandbox.is_root", lambda: True)
    monkeypatch.setattr("qsh.server.monitor.login_report.sandbox.is_root", lambda: False)
    monkeypatch.setattr("qsh.server.accounts.admission.sandbox.is_root", lambda: True)
    server.options = ("PasswordAuthentication yes", "PermitRootLogin yes")
    check = server.connect()
    assert ask(check, PasswordRequest("secret")) == Outcome.ACCEPTED
    server.give_ticket(check.login)
    return rules


def test_who_typed_a_password_is_not_asked_again(server, by_password):
    assert server.come_back()[0] == Outcome.ACCEPTED


def test_but_after_a_change_of_the_password(server, by_password):
    by_password.hash = "$y$two"
    assert is_refused(server, "password is another now")


def test_or_when_the_account_is_locked(server, by_password):
    by_password.hash = "!$y$one"  # passwd -l
    assert is_refused(server, "account is locked")


def test_or_where_passwords_are_no_longer_taken(server, by_password):
    server.options = ("PasswordAuthentication no", "PermitRootLogin yes")
    assert is_refused(server, "would not be enough any more")


def test_what_the_accounts_rules_say(server, by_password):
    by_password.standing = Standing.DENIED
    outcome, check = server.come_back()
    assert outcome == Outcome.DENIED
    assert check.login is None
    by_password.standing = Standing.CHANGE
    assert is_refused(server)


def test_no_ticket_where_a_new_password_would_not_be_seen(server, by_password, monkeypatch):
    """No line in shadow(5): LDAP behind PAM, or no root. Nor is one good that was written."""
    monkeypatch.setattr(shadow, "read_entry", lambda user: None)
    check = server.connect()
    assert ask(check, PasswordRequest("secret")) == Outcome.ACCEPTED
    assert "nobody could tell" in refusal(check.login, server.wish(), {SESSION})
    server.give_ticket(check.login)
    assert is_refused(server, "nobody can tell whether the password is still the same")


def test_no_ticket_holds_the_password(server, by_password, tmp_path):
    (file,) = (tmp_path / "tickets").iterdir()
    assert b"$y$one" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tickets").stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------ writing them


class Kept:
    """A table of sessions that still has the session when it is asked the first `times`."""

    def __init__(self, folder, times):
        self.folder, self.times = str(folder), times

    def find(self, login, which):
        self.times -= 1
        if self.times < 0:
            raise NotKeptError("no such session")


@pytest.mark.parametrize("times", [0, 1])
def test_no_ticket_stays_of_a_session_that_ends_meanwhile(server, tmp_path, times):
    login = server.log_in()
    write_for(Kept(tmp_path / "sessions", 2), login, server.wish())
    assert len(os.listdir(tmp_path / "tickets")) == 1
    server.tickets.forget(login.account.uid, SESSION)
    with pytest.raises(NotKeptError):
        write_for(Kept(tmp_path / "sessions", times), login, server.wish())
    assert os.listdir(tmp_path / "tickets") == []


def test_a_ticket_is_worth_nothing_without_its_session(server):
    server.give_ticket()
    server.about.unlink()
    assert is_refused(server, "no such session ticket")


def test_who_gets_a_ticket(server):
    login = server.log_in()
    assert refusal(login, server.wish(), {SESSION}) == ""
    assert "not on this connection" in refusal(login, server.wish(), set())
    assert "none for tickets" in refusal(login, WriteTicket(SESSION, b"key"), {SESSION})
    server.options = ("SessionTicketLifetime 0",)
    assert "SessionTicketLifetime" in refusal(server.log_in(), server.wish(), {SESSION})


def test_a_ticket_makes_no_other(server):
    """Else it would never expire."""
    server.give_ticket()
    _, check = server.come_back()
    assert "makes no other" in refusal(check.login, server.wish(), {SESSION})


def test_a_session_has_few_tickets(server):
    login = server.log_in()
    first = server.client_key
    for number in range(MAX_TICKETS + 3):
        server.give_ticket(login)
        if number:
            server.client_key, server.sign = new_ticket_key()
    account = login.account
    assert server.tickets.find(account, SESSION, first) is None
    assert len(os.listdir(server.folder / "tickets")) == MAX_TICKETS
    server.tickets.forget(account.uid, SESSION)
    assert os.listdir(server.folder / "tickets") == []


def test_a_ticket_that_was_changed_is_none(server):
    server.give_ticket()
    (file,) = (server.folder / "tickets").iterdir()
    whole = file.read_bytes()
    for data in (b"", whole[:-1], whole + b"\0\0", b"\xff" * 200):
        file.write_bytes(data)
        assert is_refused(server)


def test_a_ticket_without_proofs_is_none(server):
    login = server.log_in()
    server.tickets.write(replace(ticket_of(login, server.wish()), proofs=encode_proofs(())))
    assert is_refused(server, "would not be enough")


def test_asking_for_methods_after_a_refused_ticket(server):
    check = server.connect()
    assert ask(check, server.request(check)) == Outcome.REFUSED
    assert ask(check, NoneRequest()) == Outcome.REFUSED
