"""A Pair whose server proves a host key, with a login script: for tests of the client's side."""

import asyncio
from contextlib import asynccontextmanager

from qsh.auth.private_key import PrivateKey
from qsh.auth.signing import (
    EXPORTER_LENGTH,
    attestation_data,
    session_identifier,
    verify_userauth,
)
from qsh.client.host.proofs import EXPORTER_LABEL, hostkeys_prove_data
from qsh.quic.identity import encode_attestation, make_certificate, new_identity_key
from qsh.wire.codec import encode_body
from qsh.wire.events import InfoAnswered, LoginRequested, LoginSucceeded
from qsh.wire.global_messages import HostKeysAnnounce, HostKeysList, HostKeysProof
from qsh.wire.userauth_messages import HostboundRequest, PublicKeyRequest
from tests.pair import Conditions, Pair

NONCE = bytes(range(32))


class Host:
    """A server with a host key. `other_keys` are those it can prove besides."""

    def __init__(self, key: PrivateKey, *other_keys: PrivateKey):
        self.key = key
        self.other_keys = other_keys
        self.attestation = b""
        self.sign_nothing = False
        self.pair = None
        self.seen = []
        """Bodies of the login requests, and InfoAnswered's responses."""

    def identify(self, original_id):
        identity = new_identity_key()
        data = attestation_data(identity.spki_der, original_id, NONCE, self.key.public.blob)
        self.attestation = encode_attestation(self.key.public.blob, NONCE, self.key.sign(data))
        return make_certificate(identity, self.attestation)

    @asynccontextmanager
    async def connected(self, conditions=None, **options):
        """The client's connection and, as `self.pair.server`, ours."""
        async with Pair(conditions or Conditions(), identify=self.identify, **options) as self.pair:
            yield self.pair.client

    @property
    def session_id(self):
        exporter = self.pair.server.export_keying_material(EXPORTER_LABEL, b"", EXPORTER_LENGTH)
        return session_identifier(exporter, self.attestation)

    async def prove(self):
        """Answer, truly, what is asked about host keys."""
        while (request := await self.pair.server.next_request()) is not None:
            self.pair.server.answer(request, self._about_keys(request.body))

    def _about_keys(self, body):
        if isinstance(body, HostKeysList):
            blobs = tuple(key.public.blob for key in (self.key, *self.other_keys))
            return encode_body(HostKeysAnnounce(blobs))
        keys = {} if self.sign_nothing else {key.public.blob: key for key in self.other_keys}
        if not all(blob in keys for blob in body.keys):
            return None
        return encode_body(HostKeysProof(tuple(
            keys[blob].sign(hostkeys_prove_data(self.session_id, keys[blob].public))
            for blob in body.keys
        )))  # fmt: skip

    def is_genuine(self, user, body):
        """Whether a request by key is signed, for this very connection."""
        from qsh.auth.public_key import PublicKey

        assert isinstance(body, PublicKeyRequest | HostboundRequest)
        host_key = body.host_key if isinstance(body, HostboundRequest) else None
        return body.signature is not None and verify_userauth(
            PublicKey.from_blob(body.key_blob), self.session_id, user, body.algorithm,
            body.signature, host_key_blob=host_key,
        )

    async def answer_login(self, decide):
        """Let `decide(login, body or responses)` answer each request until it accepts."""
        server = self.pair.server
        while True:
            event = await server.next_login_event()
            if isinstance(event, LoginSucceeded):
                return
            if isinstance(event, LoginRequested):
                self.seen.append(event.body)
                decide(server.login, event.body)
            elif isinstance(event, InfoAnswered):
                self.seen.append(event.responses)
                decide(server.login, event.responses)


class Answers:
    """A prompter that knows the answers; None stands for nobody being there."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def ask(self, prompt, *, echo=False):
        from qsh.client.login.prompts import CannotAskError

        self.asked.append((prompt, echo))
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise CannotAskError("nobody is there")
        return answer

    async def confirm(self, question):
        return await self.ask(question) == "yes"
