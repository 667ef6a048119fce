"""The monitor's judgement of login requests: account, proofs, and what is then permitted.

Keys are judged by key_check.py, passwords and answers by the account's rules (account_rules.py);
here is what they have in common: which methods may come, how often, how they add up to a login,
and what sshd's log says of it, in its words.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from qsh import log
from qsh.auth.authorized_keys import Permissions
from qsh.auth.policy import Outcome as PolicyOutcome
from qsh.auth.public_key import PublicKey
from qsh.auth.signing import EXPORTER_LENGTH
from qsh.config.server import ServerConfig
from qsh.config.server_settings import ServerSettings
from qsh.errors import DecodeError, IdentityError
from qsh.log import logger
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.auth_info import AuthInfo, proof_line
from qsh.server.accounts.environment import Peers
from qsh.server.accounts.rules import NOBODY, AccountRules, Dialogue, Proof, Standing
from qsh.server.monitor.granted import ConflictError, Given, merged, only_to_change_password
from qsh.server.monitor.hostbased_check import claim_label, host_vouches
from qsh.server.monitor.key_check import KEY_REQUESTS, KeyCheck
from qsh.server.monitor.login_report import LoginReport, key_label, note_key
from qsh.server.monitor.login_terms import (
    HOST,
    KEY,
    MAX_NAME,
    PASSWORD,
    QUESTIONS,
    Applicant,
    Terms,
    connection_terms,
    terms_for,
)
from qsh.server.monitor.messages import CheckLogin, LoginVerdict, NewPasswordWanted, Outcome
from qsh.server.monitor.ticket_check import TicketCheck
from qsh.server.monitor.tickets import Tickets, password_mark
from qsh.wire.codec import decode_body
from qsh.wire.userauth_messages import (
    SERVICE,
    HostbasedRequest,
    KeyboardInteractiveRequest,
    PasswordRequest,
    TicketRequest,
)

_log = logger("login")

TICKET = TicketRequest.method
CHANGE_PROMPT = "Your password has expired: choose a new one."
_OUTCOMES = {
    PolicyOutcome.ACCEPTED: Outcome.ACCEPTED,
    PolicyOutcome.PARTIAL: Outcome.PARTIAL,
    PolicyOutcome.REFUSED: Outcome.REFUSED,
    PolicyOutcome.TOO_MANY: Outcome.TOO_MANY,
}


@dataclass(frozen=True, slots=True)
class Login:
    """A login that stands."""

    account: Account
    permissions: Permissions
    settings: ServerSettings
    """With the Match blocks for this user and connection."""
    rules: AccountRules | None = None
    """Open its session before the first process, and close it after the last."""
    notes: str = ""
    """What the account's rules want the user to be told."""
    must_change_password: bool = False
    """Nothing but that may be done."""
    hostname: str = ""
    """The client's verified name, or empty."""
    auth_info: AuthInfo | None = None
    """For SSH_USER_AUTH, if sessions are to have it."""
    proof: str = ""
    """By which methods and keys it was proved: on an account that several people use, who it is."""
    given: tuple[Given, ...] = ()
    """The same, for a session ticket."""
    began: float = 0.0
    """Wall-clock time."""
    password: bytes = b""
    """The `password_mark` of that time, if a password was part of it."""
    only_session: bytes = b""
    """The session that it may attach to, and nothing else; empty: it is no session ticket's."""


@dataclass(slots=True)
class LoginCheck:
    """The logins of one connection. `attestation` is the monitor's own; `host_key` the blob it
    shows. `login` is set once one was accepted."""

    config: ServerConfig
    peers: Peers
    attestation: bytes
    host_key: bytes
    clock: Callable[[], float]
    """Wall-clock time, for expiry."""
    dialogue: Dialogue = NOBODY
    login: Login | None = None
    user: str = ""
    tickets: Tickets = field(default_factory=lambda: Tickets(""))
    _terms: Terms | None = None
    _report: LoginReport | None = None
    _granted: Permissions | None = None
    _given: tuple[Given, ...] = ()
    _end: Outcome | None = None
    _exporter: bytes = b""
    _banner: str = ""

    def check(self, request: CheckLogin) -> LoginVerdict | NewPasswordWanted:
        """The verdict on one request. May ask the user on the way."""
        # As sshd: what stands after a colon is a style, which is signed but names nobody.
        user = request.user.partition(":")[0][:MAX_NAME]
        if self._terms is None:
            self._begin(user)
        if self._end is not None:  # only a worker in a stranger's hands goes on
            return self._verdict(self._end)
        if user != self.user or request.service != SERVICE:
            _log.info("Change of username or service not allowed: (%s,%s) -> (%s,%s)",
                      self.user, SERVICE, user, request.service[:MAX_NAME])  # fmt: skip
            return self._verdict(Outcome.TOO_MANY)
        if not self._is_exporter(request.exporter):
            return self._verdict(Outcome.TOO_MANY)
        if request.method == "none":
            return self._check_none()
        if request.method == TICKET:
            return self._judged(TICKET, LoginCheck._check_ticket, request)
        method, check = _CHECKS.get(request.method, (request.method, None))
        if check is None or method not in self.terms.policy.methods:
            return self._failed(request.method[:MAX_NAME])
        return self._judged(method, check, request)

    def _judged(self, method: str, check: "Check", request: CheckLogin
                ) -> LoginVerdict | NewPasswordWanted:  # fmt: skip
        try:
            return check(self, request)
        except (DecodeError, IdentityError) as error:
            _log.debug1("bad %s request: %s", method, error)
            return self._failed(method)

    @property
    def terms(self) -> Terms:
        """What holds for this name. Only after the first request."""
        assert self._terms is not None
        return self._terms

    @property
    def report(self) -> LoginReport:
        """As well."""
        assert self._report is not None
        return self._report

    def take_banner(self) -> str:
        """What the user is to be shown with the next answer."""
        banner, self._banner = self._banner, ""
        return banner

    def close(self) -> None:
        """Nothing of the connection is left."""
        if self._terms is None:
            return
        if self.login is not None and self.login.auth_info is not None:
            self.login.auth_info.remove()
        self.terms.rules.close()
        self.report.ended()

    @property
    def is_user_valid(self) -> bool:
        """Whether there is such an account, and it may log in."""
        return self._terms is not None and self._terms.account is not None

    def _begin(self, user: str) -> None:
        """The first request names the user; the configuration is asked again for this one."""
        self.user = user
        applicant = Applicant(user, self.peers, self.dialogue, self.clock)
        terms = self._terms = terms_for(applicant, self.config)
        settings = terms.settings
        self._report = LoginReport(
            self.peers, user, terms.account, settings.max_auth_tries, terms.hostname
        )
        self._banner += terms.banner
        if settings.log_level != self.config.settings.log_level:
            log.configure(level=log.level_named(settings.log_level))
        if settings.refuse_connection:
            self._report.connection_refused()
            self._end = Outcome.TOO_MANY

    def _is_exporter(self, exporter: bytes) -> bool:
        """A connection has one exporter; a worker that brings another is not to be trusted."""
        if len(exporter) != EXPORTER_LENGTH:
            return False
        self._exporter = self._exporter or exporter
        return hmac.compare_digest(self._exporter, exporter)

    # ------------------------------------------------------------ the proofs

    def _check_key(self, request: CheckLogin) -> LoginVerdict:
        body = decode_body(KEY_REQUESTS[request.method], request.body)
        key = PublicKey.from_blob(body.key_blob)
        terms = self.terms
        label = key_label(key, terms.settings.fingerprint_hash)
        check = self._key_check()
        permissions = check.permissions(key, body, terms.account)
        if permissions is None:
            return self._failed(KEY, label)
        if body.signature is None:
            self.report.postponed(KEY, label)
            return self._verdict(Outcome.KEY_OK)
        if not check.is_signed(key, body, request.user, self._exporter, permissions):
            return self._failed(KEY, label)
        touch, verify = check.demands(permissions)
        given = Given(KEY, "", body.algorithm, key.blob, touch, verify)
        return self._succeeded(given, permissions, label)

    def _key_check(self) -> KeyCheck:
        terms = self.terms
        return KeyCheck(
            terms.settings, self.peers, self.attestation, self.host_key, self.clock,
            terms.hostname,
        )  # fmt: skip

    def _check_host(self, request: CheckLogin) -> LoginVerdict:
        body = decode_body(HostbasedRequest, request.body)
        key, terms = PublicKey.from_blob(body.key_blob), self.terms
        label = key_label(key, terms.settings.fingerprint_hash) + claim_label(body)
        check = self._key_check()
        if not host_vouches(check, key, body, request.user, self._exporter, terms.account):
            return self._failed(HOST, label)
        return self._succeeded(Given(HOST, "", body.algorithm, key.blob), Permissions(), label)

    def _check_password(self, request: CheckLogin) -> LoginVerdict | NewPasswordWanted:
        body = decode_body(PasswordRequest, request.body)
        proof = self.terms.rules.check_password(body.password, body.new_password)
        if proof is Proof.GOOD:
            return self._succeeded(Given(PASSWORD), Permissions())
        if proof is Proof.BAD:
            return self._failed(PASSWORD)
        return self._want_new_password(has_failed=body.new_password is not None)

    def _want_new_password(self, *, has_failed: bool) -> LoginVerdict | NewPasswordWanted:
        terms = self.terms
        if has_failed and terms.policy.failed(PASSWORD) is PolicyOutcome.TOO_MANY:
            return self._told_failed(PASSWORD, "", PolicyOutcome.TOO_MANY)
        self.report.postponed(PASSWORD)
        return NewPasswordWanted(terms.rules.take_notes() or CHANGE_PROMPT, self.take_banner())

    def _check_answers(self, request: CheckLogin) -> LoginVerdict:
        decode_body(KeyboardInteractiveRequest, request.body)
        rules = self.terms.rules
        detail = rules.method_detail
        if rules.converse() is not Proof.GOOD:
            return self._failed(QUESTIONS, detail=detail)
        return self._succeeded(Given(QUESTIONS, detail), Permissions())

    def _check_none(self) -> LoginVerdict:
        """How clients ask for the methods, and how an account without a password is entered."""
        terms = self.terms
        may_enter = (
            terms.settings.permit_empty_passwords
            and PASSWORD in terms.policy.methods
            and not terms.settings.authentication_methods
        )
        if may_enter and terms.rules.check_password("", None) is Proof.GOOD:
            return self._succeeded(Given(PASSWORD), Permissions())
        return self._failed("none")

    def _check_ticket(self, request: CheckLogin) -> LoginVerdict:
        """Back to a session: all that let its client in then must let it in now."""
        body = decode_body(TicketRequest, request.body)
        check = TicketCheck(self.terms, self.tickets, self._key_check(), self.clock)
        approved, granted = check.judge(body, request.user, self._exporter), Permissions()
        account = self.terms.account
        if approved is None or account is None:
            return self._failed(TICKET)
        for at, (given, permissions) in enumerate(approved):
            try:
                granted = merged(granted if at else None, permissions)
            except ConflictError as error:
                _log.info("%s", error)
                return self._failed(TICKET)
            if not self._may_be_root(account, given.method, granted):
                return self._failed(TICKET)
        self._given = tuple(given for given, _ in approved)
        standing = self._enter(account, granted, body.session)
        if standing is Standing.CHANGE:  # by hand: then the user is told
            return self._failed(TICKET)
        if standing is Standing.DENIED:
            return self._verdict(Outcome.DENIED)
        names = ",".join(given.named for given in self._given)
        self.report.proved(TICKET, f"{names} for {body.session.hex()}", is_enough=True)
        return self._verdict(Outcome.ACCEPTED)

    # ------------------------------------------------------------ what they add up to

    def _succeeded(self, given: Given, permissions: Permissions, label: str = "") -> LoginVerdict:
        """One proof is good: is it enough, and may this account be entered by it?"""
        terms, method, detail = self.terms, given.method, given.detail
        try:
            granted = merged(self._granted, permissions)
        except ConflictError as error:
            _log.info("%s", error)
            return self._failed(method, label)
        if terms.account is None or not self._may_be_root(terms.account, method, granted):
            return self._failed(method, label, detail=detail)
        outcome = terms.policy.succeeded(method, detail, given.fingerprint)
        if outcome not in (PolicyOutcome.ACCEPTED, PolicyOutcome.PARTIAL):
            return self._told_failed(given.named, label, outcome)
        self._granted = granted
        self._given = (*self._given, given)
        if given.key is not None:
            note_key(given.key)
        is_enough = outcome is PolicyOutcome.ACCEPTED
        if is_enough and self._enter(terms.account, granted) is Standing.DENIED:
            return self._verdict(Outcome.DENIED)
        self.report.proved(given.named, label, is_enough=is_enough)
        return self._verdict(_OUTCOMES[outcome])

    def _enter(self, account: Account, granted: Permissions, session: bytes = b"") -> Standing:
        """It is the user, who by a ticket comes back to `session`: do the account's rules let it
        in now?"""
        rules, settings = self.terms.rules, self.terms.settings
        standing = rules.check_account()
        notes = rules.take_notes()
        must_change = standing is Standing.CHANGE
        if standing is Standing.DENIED:
            self._banner += notes
            self.report.denied(by_pam=settings.use_pam)
        if standing is Standing.DENIED or (must_change and session):
            return standing
        self.login = Login(
            account, only_to_change_password(granted) if must_change else granted,
            settings, rules, notes, must_change, self.terms.hostname,
            AuthInfo(account, "".join(proof_line(one.named, one.key) for one in self._given))
            if settings.expose_auth_info else None,
            "".join(f"{one.method} {one.fingerprint}\n" for one in self._given),
            self._given, self.clock(),
            password_mark(account.name) if any(not one.key_blob for one in self._given) else b"",
            session,
        )  # fmt: skip
        return standing

    def _may_be_root(self, account: Account, method: str, permissions: Permissions) -> bool:
        """PermitRootLogin."""
        permitted = self.terms.settings.permit_root_login
        if account.uid != 0 or permitted == "yes":
            return True
        if method in (KEY, HOST) and permitted == "prohibit-password":
            return True
        if method == KEY and permitted == "forced-commands-only" and permissions.command:
            _log.info("Root login accepted for forced command.")
            return True
        self.report.root_refused()
        return False

    # ------------------------------------------------------------ verdicts

    def _failed(self, method: str, label: str = "", *, detail: str = "") -> LoginVerdict:
        terms = self.terms
        self._banner += terms.rules.take_notes()
        named = Given(method, detail).named
        return self._told_failed(named, label, terms.policy.failed(method))

    def _told_failed(self, method: str, label: str, outcome: PolicyOutcome) -> LoginVerdict:
        self.report.failed(method, label, self.clock())
        if outcome is PolicyOutcome.TOO_MANY:
            self.report.too_many()
        return self._verdict(_OUTCOMES[outcome])

    def _verdict(self, outcome: Outcome) -> LoginVerdict:
        terms = self.terms
        if outcome in (Outcome.TOO_MANY, Outcome.DENIED):
            self._end = outcome
        methods = () if outcome is Outcome.DENIED else terms.policy.methods
        pty = self.login is not None and may_have_pty(self.login)
        return LoginVerdict(
            outcome, methods, self.take_banner(), pty, terms.settings.accept_env,
            terms.settings.max_sessions, *connection_terms(terms.settings, self.config.settings),
        )  # fmt: skip


Check = Callable[[LoginCheck, CheckLogin], LoginVerdict | NewPasswordWanted]
_CHECKS: dict[str, tuple[str, Check]] = {
    **dict.fromkeys(KEY_REQUESTS, (KEY, LoginCheck._check_key)),
    HOST: (HOST, LoginCheck._check_host),
    PASSWORD: (PASSWORD, LoginCheck._check_password),
    QUESTIONS: (QUESTIONS, LoginCheck._check_answers),
}
"""Method on the wire → method of AuthenticationMethods, and who judges it."""


def may_have_pty(login: Login) -> bool:
    """Whether key and configuration permit a terminal."""
    return login.permissions.pty and login.settings.permit_tty
