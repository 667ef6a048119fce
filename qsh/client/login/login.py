"""Logging in: drives the dialogue of RFC 4252 by the plan of auth.methods.

The first request leaves in the same flight as the session's opening: an identity that needs
nobody's hand, already signed, or `none`, which asks for the methods. Never in that flight: a
password, an answer, a key that wants a touch or a passphrase.
"""

from typing import TYPE_CHECKING

from qsh import log
from qsh.auth.keys import PublicKey
from qsh.auth.methods import (
    PREFERRED,
    Attempt,
    Identity,
    LoginPlan,
    choose_algorithm,
    optimistic_identity,
)
from qsh.client.dial.connect import is_proxied
from qsh.client.host.proofs import HostProof
from qsh.client.login.algorithms import allowed_names
from qsh.client.login.keyring import Keyring, SignRequest
from qsh.client.login.prompts import CannotAskError, Prompter
from qsh.client.login.session_proof import SessionProof
from qsh.client.notices import show, with_hint
from qsh.config.client_settings import ClientSettings
from qsh.errors import IdentityError, LoginError
from qsh.net.connection import Connection
from qsh.record import record
from qsh.wire.events import (
    BannerReceived,
    ExtensionsReceived,
    InfoAsked,
    KeyAccepted,
    LoginEvent,
    LoginFailed,
    LoginSucceeded,
    PasswordChangeAsked,
)
from qsh.wire.userauth import ClientLogin
from qsh.wire.userauth_messages import (
    ADDENDUM,
    HostboundRequest,
    KeyboardInteractiveRequest,
    NoneRequest,
    PasswordRequest,
    PublicKeyRequest,
    RequestBody,
    TicketRequest,
)

if TYPE_CHECKING:
    from qsh.client.login.ticket import Ticket

SECRET_METHODS = frozenset({"password", "keyboard-interactive"})
SUPPORTED = frozenset({"publickey", "hostbased"}) | SECRET_METHODS

_log = log.logger("login")


@record
class SignedKey:
    """What a request by key needs: the key and the algorithm to log in under."""

    identity: Identity
    key: PublicKey
    algorithm: str


class Login:
    """One login. `identities` are in the order to try them; `may_type_secrets` is False for a
    host whose key is not the known one. `ticket` goes before all of them: it wants no hand."""

    def __init__(self, connection: Connection, proof: HostProof, settings: ClientSettings,
                 keyring: Keyring, prompter: Prompter, identities: tuple[Identity, ...],
                 *, may_type_secrets: bool = True, ticket: "Ticket | None" = None) -> None:
        assert isinstance(connection.login, ClientLogin)
        self._connection = connection
        self._dialogue = connection.login
        self._proof = proof
        self._settings = settings
        self._keyring = keyring
        self._prompter = prompter
        self._identities = identities
        self._server_algorithms: frozenset[str] | None = None
        self._remaining: tuple[str, ...] = ()
        self._refusals = 0
        self._has_bound = False
        self._first: SignedKey | None = None
        self._ticket = ticket
        self.used: Identity | None = None
        """The identity that let the user in; None for another method."""
        self.by_ticket = False
        """Whether it was the ticket."""
        self._host_keys = _vouching_keys(settings)
        self._plan = LoginPlan(
            identities, preferred=settings.preferred_authentications or PREFERRED,
            enabled=enabled_methods(settings, may_type_secrets),
            password_prompts=settings.number_of_password_prompts, host_keys=len(self._host_keys),
        )  # fmt: skip

    async def start(self) -> None:
        """Send the first request. It is on its way when this returns, together with whatever the
        caller sends before it awaits."""
        addendum = self._settings.version_addendum
        if addendum is not None:
            self._dialogue.announce({ADDENDUM: addendum.encode(errors="replace")})
        if self._ticket is not None:
            self._send(self._ticket.request(self._proof, self._settings.user))
            return
        body: RequestBody = NoneRequest()
        choice = self._optimistic()
        if choice is not None:
            try:
                body = await self._signed_body(choice)
                self._plan.mark_tried(choice.identity)
                self._first = choice
            except IdentityError as error:
                _log.info("%s", error)
                self._plan.mark_tried(choice.identity)
        self._send(body)

    def _optimistic(self) -> SignedKey | None:
        identity = optimistic_identity(self._identities)
        if identity is None or identity.public is None:
            return None
        preferred = self._settings.preferred_authentications or PREFERRED
        if "publickey" not in preferred or self._host_goes_first(preferred):
            return None
        algorithm = self._algorithm(identity.public)
        return SignedKey(identity, identity.public, algorithm) if algorithm else None

    def _host_goes_first(self, preferred: tuple[str, ...]) -> bool:
        """Whether the host shall vouch before any key of the user's is shown."""
        places = {name: place for place, name in enumerate(preferred)}
        return bool(self._host_keys) and places.get("hostbased", len(places)) < places["publickey"]

    async def finish(self) -> None:
        """Go on until the server lets the user in. Raises LoginError, NetworkError."""
        answer = await self._answer()
        attempt = Attempt("publickey", self._first.identity) if self._first else Attempt("none")
        if self._ticket is not None:
            attempt = Attempt(TicketRequest.method)
        while not isinstance(answer, LoginSucceeded):
            assert isinstance(answer, LoginFailed)
            self._note_failure(answer, attempt)
            attempt, answer = await self._try_next()
        self.used = attempt.identity
        self.by_ticket = attempt.method == TicketRequest.method

    def _note_failure(self, answer: LoginFailed, attempt: Attempt) -> None:
        self._remaining = answer.methods
        if answer.partial:
            _log.debug1("%s accepted, and more is wanted: %s", attempt.method,
                        ", ".join(answer.methods))
            self._plan.partial_success(attempt)
        elif attempt.method != "none":
            self._refusals += 1
            _log.debug1("%s refused; left: %s", attempt.method, ", ".join(answer.methods))
            self._reconsider(attempt)
            if attempt.method in SECRET_METHODS:
                _log.info("permission denied, please try again")

    def _reconsider(self, attempt: Attempt) -> None:
        """The first request went out before the server had told its algorithms: the key may yet
        do under another one."""
        first, self._first = self._first, None
        if first is not None and attempt.identity == first.identity and (
            self._algorithm(first.key) not in (None, first.algorithm)
        ):
            self._plan.mark_untried(first.identity)

    async def _try_next(self) -> tuple[Attempt, LoginEvent]:
        """The next attempt that reaches the server, and its answer. Raises LoginError when none
        is left."""
        while (attempt := self._plan.next(self._remaining)) is not None:
            try:
                answer = await self._try(attempt)
            except CannotAskError as error:
                _log.debug1("%s: %s", attempt.method, error)
                if attempt.method != "publickey":
                    self._plan.give_up(attempt.method)
            except IdentityError as error:
                _log.info("%s", error)
            else:
                if answer is not None:
                    return attempt, answer
        raise self._denied()

    def _denied(self) -> LoginError:
        settings = self._settings
        error = LoginError(f"{settings.user}@{settings.original_host}: permission denied "
                           f"({','.join(self._remaining)})")  # fmt: skip
        if not self._refusals and self._remaining:
            with_hint(error, "none of these methods could be tried; -v says why")
        return error

    async def _try(self, attempt: Attempt) -> LoginEvent | None:
        """The server's verdict; None if the attempt was not worth making after all."""
        _log.debug1("next: %s%s", attempt.method,
                    f" {attempt.identity.path or attempt.identity.fingerprint}"
                    if attempt.identity else "")
        if attempt.method == "password":
            return await self._try_password()
        if attempt.method == "keyboard-interactive":
            devices = ",".join(self._settings.kbd_interactive_devices)
            self._send(KeyboardInteractiveRequest(submethods=devices))
            return await self._answer_questions()
        if attempt.method == "hostbased":
            return await self._try_host(self._host_keys[attempt.number - 1])
        assert attempt.identity is not None
        return await self._try_key(attempt.identity, attempt.query_first)

    # ------------------------------------------------------------ keys

    async def _try_key(self, identity: Identity, query_first: bool) -> LoginEvent | None:
        key = await self._keyring.open(identity)
        algorithm = self._algorithm(key)
        if algorithm is None:
            _log.debug1("no signature algorithm of the %s key is wanted", key.key_type_name)
            return None
        choice = SignedKey(identity, key, algorithm)
        if query_first:
            self._send(self._key_body(choice, None))
            answer = await self._answer()
            if not isinstance(answer, KeyAccepted):
                return answer
        self._send(await self._signed_body(choice))
        return await self._answer()

    def _algorithm(self, key: PublicKey) -> str | None:
        accepted = ",".join(allowed_names(self._settings.pubkey_accepted_algorithms))
        return choose_algorithm(key, accepted, self._server_algorithms)

    async def _signed_body(self, choice: SignedKey) -> RequestBody:
        request = SignRequest(
            self._proof.session_id, self._settings.user, choice.algorithm, self._host_key
        )
        try:
            signature = await self._keyring.sign(choice.identity, choice.key, request)
        except IdentityError:
            if not (choice.identity.in_agent and await self._bind_agent()):
                raise
            signature = await self._keyring.sign(choice.identity, choice.key, request)
        return self._key_body(choice, signature)

    async def _bind_agent(self) -> bool:
        """Tell the agent which host this is, once: a key for certain destinations signs only then.
        Others need not wait for the round trip."""
        if self._has_bound:
            return False
        self._has_bound = True
        proof = SessionProof(self._connection, self._proof.key.blob, self._proof.session_id)
        return await self._keyring.bind_agent(await proof.agent_binding(is_forwarding=False))

    @property
    def _host_key(self) -> bytes | None:
        """The host key to bind signatures to; None if PubkeyAuthentication is unbound."""
        if self._settings.pubkey_authentication_mode == "unbound":
            return None
        return self._proof.key.blob

    def _key_body(self, choice: SignedKey, signature: bytes | None) -> RequestBody:
        if self._host_key is None:
            return PublicKeyRequest(choice.algorithm, choice.key.blob, signature)
        return HostboundRequest(choice.algorithm, choice.key.blob, self._host_key, signature)

    async def _try_host(self, key: PublicKey) -> LoginEvent | None:
        from qsh.client.login.hostbased import vouch

        settings = self._settings
        wanted = ",".join(allowed_names(settings.hostbased_accepted_algorithms))
        algorithm = choose_algorithm(key, wanted, self._server_algorithms)
        if algorithm is None:
            return None
        remote = None if is_proxied(settings) else self._connection.remote
        self._send(await vouch(key, algorithm, self._proof.session_id, settings.user, remote))
        return await self._answer()

    # ------------------------------------------------------------ questions

    @property
    def _account(self) -> str:
        return f"{self._settings.user}@{self._settings.original_host}"

    async def _try_password(self) -> LoginEvent:
        self._send(PasswordRequest(await self._prompter.ask(f"{self._account}'s password: ")))
        answer = await self._answer()
        while isinstance(answer, PasswordChangeAsked):
            if answer.prompt:
                show(answer.prompt)
            self._send(await self._new_password())
            answer = await self._answer()
        return answer

    async def _new_password(self) -> PasswordRequest:
        old = await self._prompter.ask(f"Enter {self._account}'s old password: ")
        while True:
            new = await self._prompter.ask(f"Enter {self._account}'s new password: ")
            again = await self._prompter.ask(f"Retype {self._account}'s new password: ")
            if new == again:
                return PasswordRequest(old, new)
            show("Mismatch; try again, ^D to quit.")

    async def _answer_questions(self) -> LoginEvent:
        """Round after round of RFC 4256, until the server has decided."""
        answer = await self._answer()
        while isinstance(answer, InfoAsked):
            for text in filter(None, (answer.name, answer.instruction)):
                show(text)
            responses = [
                await self._prompter.ask(
                    f"({self._account}) {log.printable(prompt.text)}", echo=prompt.echo
                )
                for prompt in answer.prompts
            ]
            self._dialogue.respond(tuple(responses))
            answer = await self._answer()
        return answer

    # ------------------------------------------------------------ the dialogue

    def _send(self, body: RequestBody) -> None:
        self._dialogue.request(self._settings.user, body)

    async def _answer(self) -> LoginEvent:
        """The next thing the server says that is an answer. Shows banners on the way."""
        while True:
            event = await self._connection.next_login_event()
            if isinstance(event, BannerReceived):
                if log.is_enabled(log.Level.INFO):
                    show(event.text, is_whole=True)
            elif isinstance(event, ExtensionsReceived):
                self._note_extensions(event.extensions)
            else:
                return event

    def _note_extensions(self, extensions: dict[str, bytes]) -> None:
        names = extensions.get("server-sig-algs")
        if names is not None:
            self._server_algorithms = frozenset(names.decode("ascii", "replace").split(","))
        addendum = extensions.get(ADDENDUM)
        if addendum is not None:
            _log.debug1("the server adds: %s", log.printable(addendum.decode(errors="replace")))


def _vouching_keys(settings: ClientSettings) -> tuple[PublicKey, ...]:
    """This host's keys for HostbasedAuthentication, which few use."""
    if not settings.hostbased_authentication:
        return ()
    from qsh.client.login.hostbased import host_keys

    return host_keys(settings)


def enabled_methods(settings: ClientSettings, may_type_secrets: bool) -> frozenset[str]:
    """The methods that the settings allow."""
    enabled = {
        "hostbased": settings.hostbased_authentication,
        "publickey": settings.pubkey_authentication,
        "password": settings.password_authentication,
        "keyboard-interactive": settings.kbd_interactive_authentication,
    }
    may_ask = may_type_secrets and not settings.batch_mode
    return frozenset(
        name for name, on in enabled.items() if on and (may_ask or name not in SECRET_METHODS)
    )
