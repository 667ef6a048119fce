"""The login dialogue, both sides: RFC 4252 and RFC 4256, without keys and without policy.

Each side keeps states.LOGIN, sends messages by the `send` it was given and reports by `emit`.
What to request and whom to let in is decided above (qsh.auth).
"""

from collections import deque
from collections.abc import Callable

from qsh.errors import DecodeError, RemoteProtocolError
from qsh.wire.codec import decode_body, encode, encode_body
from qsh.wire.events import (
    BannerReceived,
    ExtensionsReceived,
    InfoAnswered,
    InfoAsked,
    KeyAccepted,
    LoginEvent,
    LoginFailed,
    LoginRequested,
    LoginSucceeded,
    PasswordChangeAsked,
)
from qsh.wire.states import LOGIN, Login, Say, step
from qsh.wire.userauth_messages import (
    BODIES,
    MAX_USER,
    SERVICE,
    TO_CLIENT,
    TO_CLIENT_OTHERWISE,
    TO_SERVER,
    ExtInfo,
    InfoRequest,
    InfoResponse,
    PasswordChangeRequest,
    PublicKeyOk,
    RequestBody,
    UserauthBanner,
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)

MAX_WAITING = 8
"""Requests a client may send ahead of their answers."""
MAX_NAME = 64
"""Characters of the name of a service or method (RFC 4251 section 6)."""

Send = Callable[[bytes], None]
Emit = Callable[[LoginEvent], None]


class ClientLogin:
    """The client's side: one request at a time; each is answered by one event or more."""

    NUMBERS = frozenset({7, 51, 52, 53, 60})

    def __init__(self, send: Send, emit: Emit) -> None:
        self._send = send
        self._emit = emit
        self._method = ""
        self._prompts = 0
        self.state = Login.IDLE

    @property
    def is_done(self) -> bool:
        return self.state is Login.DONE

    def request(self, user: str, body: RequestBody) -> None:
        """Ask to be let in as `user`. Raises LocalProtocolError while another request waits."""
        self.state = step(LOGIN, self.state, Say.REQUEST, by_peer=False)
        self._method = body.method
        message = UserauthRequest(user, SERVICE, body.method, encode_body(body))
        self._send(encode(message))

    def announce(self, extensions: dict[str, bytes]) -> None:
        """RFC 8308: send this before the first request."""
        self._send(encode(ExtInfo(tuple(extensions.items()))))

    def respond(self, responses: tuple[str, ...]) -> None:
        """Answer InfoAsked, with as many responses as there were prompts."""
        assert len(responses) == self._prompts
        self.state = step(LOGIN, self.state, Say.RESPOND, by_peer=False)
        self._send(encode(InfoResponse(responses)))

    def receive(self, payload: bytes) -> None:
        """Take one message of the server. Raises RemoteProtocolError."""
        message = TO_CLIENT.get(self._method, TO_CLIENT_OTHERWISE).decode(payload)
        match message:
            case ExtInfo(extensions):
                self._emit(ExtensionsReceived(dict(extensions)))
            case UserauthBanner(text):
                self._emit(BannerReceived(text))
            case UserauthSuccess():
                self._step(Say.ACCEPT)
                self._emit(LoginSucceeded())
            case UserauthFailure(methods, partial):
                self._step(Say.ANSWER)
                self._emit(LoginFailed(methods, partial))
            case PublicKeyOk(algorithm, key_blob):
                self._step(Say.ANSWER)
                self._emit(KeyAccepted(algorithm, key_blob))
            case PasswordChangeRequest(prompt):
                self._step(Say.ANSWER)
                self._emit(PasswordChangeAsked(prompt))
            case InfoRequest(name, instruction, prompts):
                self._step(Say.ASK)
                self._prompts = len(prompts)
                self._emit(InfoAsked(name, instruction, prompts))

    def _step(self, say: Say) -> None:
        self.state = step(LOGIN, self.state, say, by_peer=True)


class ServerLogin:
    """The server's side: each LoginRequested is answered by exactly one verb before the next
    one is reported."""

    NUMBERS = frozenset({7, 50, 61})

    def __init__(self, send: Send, emit: Emit) -> None:
        self._send = send
        self._emit = emit
        self._waiting: deque[UserauthRequest] = deque()
        self._may_be_told = True
        self.state = Login.IDLE

    @property
    def is_done(self) -> bool:
        return self.state is Login.DONE

    def receive(self, payload: bytes) -> None:
        """Take one message of the client. Raises RemoteProtocolError."""
        if self.is_done:
            return  # RFC 4252 section 5.1: requests after success are silently ignored
        message = TO_SERVER.decode(payload)
        if isinstance(message, ExtInfo) and not self._may_be_told:
            raise RemoteProtocolError("extensions after the first message of the login")
        self._may_be_told = False
        if isinstance(message, ExtInfo):
            self._emit(ExtensionsReceived(dict(message.extensions)))
        elif isinstance(message, InfoResponse):
            self.state = step(LOGIN, self.state, Say.RESPOND, by_peer=True)
            self._emit(InfoAnswered(message.responses))
        elif self.state is Login.REQUESTED or self._waiting:
            if len(self._waiting) >= MAX_WAITING:
                raise RemoteProtocolError("too many login requests at once")
            self._waiting.append(message)
        else:
            self._start(message)

    def _start(self, request: UserauthRequest) -> None:
        self.state = step(LOGIN, self.state, Say.REQUEST, by_peer=True)
        if not 0 < len(request.user) <= MAX_USER or "\0" in request.user:
            raise DecodeError("user name is empty, too long or has a NUL")
        if not (_is_name(request.service) and _is_name(request.method)):
            raise DecodeError("that is no name of a service or method")
        cls = BODIES.get(request.method)
        body = decode_body(cls, request.body) if cls else None
        self._emit(
            LoginRequested(request.user, request.service, request.method, body, request.body)
        )

    def _answer(self, payload: bytes) -> None:
        self.state = step(LOGIN, self.state, Say.ANSWER, by_peer=False)
        self._send(payload)
        if self._waiting:
            self._start(self._waiting.popleft())

    def accept(self) -> None:
        """Let the client in."""
        self.state = step(LOGIN, self.state, Say.ACCEPT, by_peer=False)
        self._waiting.clear()
        self._send(encode(UserauthSuccess()))
        self._emit(LoginSucceeded())

    def refuse(self, methods: tuple[str, ...], partial: bool = False) -> None:
        """Refuse this request; `methods` may continue. `partial`: it was right, but more is
        needed."""
        self._answer(encode(UserauthFailure(methods, partial)))

    def confirm_key(self, algorithm: str, key_blob: bytes) -> None:
        """A signature by this key would be accepted."""
        self._answer(encode(PublicKeyOk(algorithm, key_blob)))

    def ask_new_password(self, prompt: str) -> None:
        """The password was right and has expired."""
        self._answer(encode(PasswordChangeRequest(prompt)))

    def ask(self, request: InfoRequest) -> None:
        """Put questions to the user; InfoAnswered brings the responses."""
        self.state = step(LOGIN, self.state, Say.ASK, by_peer=False)
        self._send(encode(request))
        if self._waiting:
            self._start(self._waiting.popleft())

    def banner(self, text: str) -> None:
        """Show this before the login."""
        self._send(encode(UserauthBanner(text)))

    def announce(self, extensions: dict[str, bytes]) -> None:
        """RFC 8308: send this before any answer."""
        self._send(encode(ExtInfo(tuple(extensions.items()))))


def _is_name(text: str) -> bool:
    """RFC 4251 section 6. Such names stand in logs that programs read, before the address."""
    return 0 < len(text) <= MAX_NAME and all("!" <= character <= "~" for character in text)
