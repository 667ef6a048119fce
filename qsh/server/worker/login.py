"""The worker's part in a login: the client's requests to the monitor, its verdicts back.

Decides nothing. Refusals are delayed as OpenSSH's are, so that their time does not tell whether
an account exists.
"""

import asyncio

from qsh import log
from qsh.auth.blobs import PLAIN_OF
from qsh.auth.policy import failure_delay
from qsh.config.server_settings import ServerSettings
from qsh.config.values import AlgorithmList
from qsh.errors import DisconnectReason, RemoteProtocolError
from qsh.net.connection import Connection
from qsh.server.monitor.messages import (
    AnswerQuestions,
    CheckLogin,
    LoginVerdict,
    NewPasswordWanted,
    Outcome,
    Questions,
)
from qsh.server.worker.monitor_client import LoginReply, MonitorClient
from qsh.wire.events import ExtensionsReceived, InfoAnswered, LoginEvent, LoginRequested
from qsh.wire.userauth import ServerLogin
from qsh.wire.userauth_messages import ADDENDUM, HostboundRequest, PublicKeyRequest

SIGNATURE_ALGORITHMS = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
"""What the monitor accepts, told to the client by `server-sig-algs` (RFC 8308 section 3.1)."""
MAX_ADDENDUM = 256
"""Characters of a client's text that are logged: as sshd takes of a version's line."""
EXPORTER_LABEL = b"EXPORTER-qsh-session-id"
EXPORTER_LENGTH = 32

_log = log.logger("login")


class LoginEndedError(RemoteProtocolError):
    """MaxAuthTries."""

    code = DisconnectReason.NO_MORE_AUTH_METHODS_AVAILABLE


def exporter_of(connection: Connection) -> bytes:
    """The connection's share of the session identifier (PROTOCOL.md)."""
    return connection.export_keying_material(EXPORTER_LABEL, b"", EXPORTER_LENGTH)


def announced_algorithms(accepted: AlgorithmList) -> str:
    """server-sig-algs: what PubkeyAcceptedAlgorithms leaves; a certificate's algorithm where its
    key alone would not do."""
    plain = [name for name in SIGNATURE_ALGORITHMS if name in accepted.resolve((name,))]
    certificates = [
        name for name in sorted(PLAIN_OF)
        if name in accepted.resolve((name,)) and PLAIN_OF[name] not in plain
        and PLAIN_OF[name] in SIGNATURE_ALGORITHMS
    ]  # fmt: skip
    return ",".join([*plain, *certificates])


def extensions(settings: ServerSettings) -> dict[str, bytes]:
    """What the client is told first (RFC 8308)."""
    said = {"server-sig-algs": announced_algorithms(settings.pubkey_accepted_algorithms).encode()}
    if settings.version_addendum is not None:
        said[ADDENDUM] = settings.version_addendum.encode(errors="replace")
    return said


async def serve_login(
    connection: Connection, client: MonitorClient, settings: ServerSettings, secret: bytes
) -> LoginVerdict:
    """The verdict that let the client in; `secret` decides how long refusals take. Raises
    NetworkError, RemoteProtocolError, MonitorGoneError."""
    login = connection.login
    assert isinstance(login, ServerLogin)
    dialogue = _Dialogue(login, exporter_of(connection), secret)
    loop, is_announced = asyncio.get_running_loop(), False
    while True:
        event = await connection.next_login_event()
        if not is_announced:  # not before: the client opens the stream that it is sent on
            login.announce(extensions(settings))
            is_announced = True
        request = dialogue.to_monitor(event)
        if request is None:
            continue
        began = loop.time()
        reply = await client.check_login(request)
        if isinstance(reply, LoginVerdict) and reply.outcome == Outcome.REFUSED:
            await asyncio.sleep(dialogue.delay(loop.time() - began))
        if dialogue.pass_on(reply):
            assert isinstance(reply, LoginVerdict)
            return reply


class _Dialogue:
    """Between the client and the monitor: requests one way, replies the other."""

    def __init__(self, login: ServerLogin, exporter: bytes, secret: bytes) -> None:
        self._login = login
        self._exporter = exporter
        self._secret = secret
        self._request: LoginRequested | None = None

    def to_monitor(self, event: LoginEvent) -> CheckLogin | AnswerQuestions | None:
        """The monitor's request for what the client did; None for what is not its business."""
        if isinstance(event, LoginRequested):
            self._request = event
            return CheckLogin(self._exporter, event.user, event.service, event.method, event.raw)
        if isinstance(event, InfoAnswered):
            return AnswerQuestions(event.responses)
        if isinstance(event, ExtensionsReceived) and ADDENDUM in event.extensions:
            text = event.extensions[ADDENDUM].decode(errors="replace")[:MAX_ADDENDUM]
            _log.debug1("the client adds: %s", log.printable(text))
        return None

    def delay(self, elapsed: float) -> float:
        """Seconds until a refusal may be sent."""
        assert self._request is not None
        if self._request.method == "none":
            return 0.0
        return failure_delay(elapsed, self._secret, self._request.user)

    def pass_on(self, reply: LoginReply) -> bool:
        """Tell the client; whether it is in. Raises LoginEndedError."""
        login = self._login
        if reply.banner:
            login.banner(reply.banner)
        if isinstance(reply, Questions):
            login.ask(reply.request)
        elif isinstance(reply, NewPasswordWanted):
            login.ask_new_password(reply.prompt)
        else:
            return self._pass_verdict(reply)
        return False

    def _pass_verdict(self, verdict: LoginVerdict) -> bool:
        assert self._request is not None
        body = self._request.body
        match verdict.outcome:
            case Outcome.ACCEPTED:
                self._login.accept()
                return True
            case Outcome.PARTIAL:
                self._login.refuse(verdict.methods, partial=True)
            case Outcome.KEY_OK if isinstance(body, PublicKeyRequest | HostboundRequest):
                self._login.confirm_key(body.algorithm, body.key_blob)
            case Outcome.TOO_MANY:
                raise LoginEndedError("Too many authentication failures")
            case Outcome.DENIED:  # not the end of the connection: it would overtake the banner
                self._login.refuse(())
            case _:
                self._login.refuse(verdict.methods)
        return False
