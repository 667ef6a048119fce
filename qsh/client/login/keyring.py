"""The user's identities: the agent's and those in files, and signing with them.

Loaded while the handshake is under way. Files without a passphrase are opened at once, so that
the first flight can be signed; whatever may ask a person waits until it is that key's turn.
"""

import contextlib
from typing import TYPE_CHECKING

from qsh import log
from qsh.auth.agent import Agent
from qsh.auth.keys import (
    PassphraseNeeded,
    PrivateKey,
    PublicKey,
    WrongPassphrase,
    certificate_of,
    load_private,
    public_of,
    signature_algorithm,
)
from qsh.auth.methods import FileIdentity, Identity, order_identities
from qsh.auth.signing import userauth_data
from qsh.client.login.prompts import CannotAskError, Prompter
from qsh.config.client_settings import ClientSettings
from qsh.errors import IdentityError
from qsh.net.tasks import in_thread
from qsh.record import record

if TYPE_CHECKING:
    from qsh.auth.pkcs11 import Token

_log = log.logger("keys")


@record
class SignRequest:
    """What a login by key signs (RFC 4252 section 7); see auth.signing.userauth_data."""

    session_id: bytes
    user: str
    algorithm: str
    host_key: bytes | None

    def data(self, key: PublicKey) -> bytes:
        return userauth_data(
            self.session_id, self.user, self.algorithm, key.blob, self.host_key
        )


class Keyring:
    """All identities that the settings allow for one host."""

    def __init__(self, settings: ClientSettings, prompter: Prompter) -> None:
        self._settings = settings
        self._prompter = prompter
        self._agent: Agent | None = None
        self._held: frozenset[PublicKey] = frozenset()
        self._private: dict[str, PrivateKey] = {}
        self._token: Token | None = None
        self._certificate_files: tuple[PublicKey, ...] | None = None

    async def identities(self, last_worked: str = "") -> tuple[Identity, ...]:
        """Every identity in the order to try them; none without PubkeyAuthentication.
        `last_worked` is the fingerprint of the one to put first."""
        settings = self._settings
        if not settings.pubkey_authentication:
            return ()
        agent_keys = await in_thread(self._agent_keys) if settings.identity_agent else []
        self._held = frozenset(agent_keys)
        token_keys = await in_thread(self._token_keys) if settings.pkcs11_provider else []
        files = [file for path in settings.identity_files if (file := self._file(path))]
        ordered = order_identities(
            [key for key in agent_keys if self._is_allowed(key)], files,
            identities_only=settings.identities_only, last_worked=last_worked,
            certificates=self._named_certificates(),
            token_keys=[key for key in token_keys if self._is_allowed(key)],
        )  # fmt: skip
        for identity in ordered:
            _log.debug2("identity %s %s %s", identity.path or "(agent)", identity.fingerprint,
                        "agent" if identity.in_agent else "")
        return ordered

    def _agent_keys(self) -> list[PublicKey]:
        assert self._settings.identity_agent
        try:
            self._agent = Agent(self._settings.identity_agent)
            return [key for key, _comment in self._agent.identities()]
        except IdentityError as error:
            _log.debug1("%s", error)
            return []

    def _token_keys(self) -> list[PublicKey]:
        from qsh.auth.pkcs11 import Token

        assert self._settings.pkcs11_provider
        self._token = Token(self._settings.pkcs11_provider)
        try:
            return self._token.public_keys()
        except IdentityError as error:
            _log.error("%s", error)
            return []

    def _file(self, path: str) -> FileIdentity | None:
        """What the file holds; opened if it needs no passphrase."""
        encrypted, public = False, None
        try:
            self._private[path] = load_private(path)
            public = self._private[path].public
        except PassphraseNeeded as error:
            encrypted, public = True, error.public or public_of(path)
        except IdentityError as error:
            public = public_of(path)  # the agent may hold the private half
            if self._settings.identity_files_given:
                level = log.Level.DEBUG1 if public else log.Level.INFO
                _log.log(level, "identity file cannot be used: %s", error)
            if public is None:
                return None
        if public is not None and not self._is_allowed(public):
            return None
        return FileIdentity(path, public, self._certificates(path), encrypted)

    def _certificates(self, path: str) -> tuple[PublicKey, ...]:
        beside = certificate_of(path)
        return tuple(dict.fromkeys((*([beside] if beside else []), *self._named_certificates())))

    def _named_certificates(self) -> tuple[PublicKey, ...]:
        """Those of CertificateFile."""
        if self._certificate_files is None:
            found = []
            for name in self._settings.certificate_files:
                try:
                    found.append(PublicKey.from_file(name))
                except IdentityError as error:
                    _log.info("certificate file cannot be used: %s", error)
            self._certificate_files = tuple(key for key in found if key.is_certificate)
        return self._certificate_files

    def _is_allowed(self, key: PublicKey) -> bool:
        """RequiredRSASize."""
        if key.plain_algorithm == "ssh-rsa" and key.bits < self._settings.required_rsa_size:
            _log.info("not offered, since RequiredRSASize is %d: RSA key of %d bits",
                      self._settings.required_rsa_size, key.bits)
            return False
        return True

    async def open(self, identity: Identity) -> PublicKey:
        """The identity's public key; asks for the passphrase where only the opened file will
        tell. Raises IdentityError, CannotAskError."""
        if identity.public is not None:
            return identity.public
        assert identity.path is not None
        return (await self._private_key(identity.path)).public

    async def sign(self, identity: Identity, key: PublicKey, request: SignRequest) -> bytes:
        """The signature blob of a login request by `key`. May ask for the passphrase or a touch.
        Raises IdentityError, CannotAskError."""
        data, algorithm = request.data(key), signature_algorithm(request.algorithm)
        if identity.in_agent:
            assert self._agent is not None
            # An agent that holds only the plain key signs for its certificate as well.
            held = key if key in self._held else key.plain
            return await in_thread(self._agent.sign, held, data, algorithm)
        if identity.in_token:
            return await self._sign_in_token(key, data, algorithm)
        assert identity.path is not None
        private = await self._private_key(identity.path)
        if key.is_security_key:
            return await self._sign_in_device(private, data, algorithm)
        return private.sign(data, algorithm)

    async def bind_agent(self, message: bytes) -> bool:
        """Bind the conversation with the agent (auth.agent.session_bind); whether it takes it."""
        assert self._agent is not None
        try:
            await in_thread(self._agent.bind, message)
        except IdentityError as error:
            _log.debug1("%s", error)
            return False
        return True

    async def _sign_in_device(self, private: PrivateKey, data: bytes, algorithm: str) -> bytes:
        from qsh.auth.security_key import sign_with_device

        public = private.public
        _log.info("confirm user presence for key %s %s", public.key_type_name,
                  public.fingerprint())  # fmt: skip
        provider = self._settings.security_key_provider
        return await in_thread(
            sign_with_device, public, private.device_part, data, algorithm, provider
        )

    async def _sign_in_token(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        """Asks for the PIN once. A wrong one is not asked for again: tokens lock themselves."""
        token = self._token
        assert token is not None
        if not token.is_open:
            pin = await self._prompter.ask(f"Enter PIN for '{token.provider}': ")
            await in_thread(token.open, pin)
        return await in_thread(token.sign, key, data, algorithm)

    async def add_to_agent(self, identity: Identity) -> None:
        """AddKeysToAgent, for an identity that has just let the user in. Whatever fails is told
        and no more."""
        adding, agent = self._settings.add_keys_to_agent, self._agent
        private = self._private.get(identity.path or "")
        if adding.when == "no" or agent is None or private is None or identity.in_agent:
            return
        from qsh.auth.agent_keys import constraints, key_fields

        try:
            if adding.when == "ask" and not await self._may_add(identity):
                return
            what = constraints(int(adding.lifetime), adding.when == "confirm")
            fields, comment = key_fields(private), identity.path or ""
            await in_thread(agent.add_key, fields, comment, what)
            _log.debug1("%s is in the agent now", identity.path)
        except (IdentityError, CannotAskError) as error:
            _log.info("%s is not added to the agent: %s", identity.path, error)

    async def _may_add(self, identity: Identity) -> bool:
        question = f"Add key {identity.path} ({identity.fingerprint}) to agent?"
        return await self._prompter.confirm(question)

    async def _private_key(self, path: str) -> PrivateKey:
        if path in self._private:
            return self._private[path]
        with contextlib.suppress(PassphraseNeeded):
            load_private(path)  # raises what is wrong with a file that no passphrase opens
        prompt = f"Enter passphrase for key '{path}': "
        for _ in range(max(1, self._settings.number_of_password_prompts)):
            passphrase = await self._prompter.ask(prompt)
            if not passphrase:
                break  # as with ssh: an empty line passes the key over
            try:
                self._private[path] = load_private(path, passphrase.encode())
                return self._private[path]
            except WrongPassphrase:
                prompt = f"Bad passphrase, try again for {path}: "
        raise IdentityError(f"{path}: stays locked")

    def close(self) -> None:
        """Let go of the agent and the token."""
        if self._token is not None:
            self._token.close()
        if self._agent is not None:
            self._agent.close()


