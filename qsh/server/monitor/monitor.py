"""The monitor: the privileged side of one connection, a table of permitted requests.

Answers its worker one request at a time over a socket pair; what is not in the table, or not
permitted now, ends the connection. Kills a worker that has not logged in by LoginGraceTime, reaps
worker and holders, and lives until the last of them has ended. May not parse a byte of the
network but what the table names, hold a private key, or use asyncio.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from qsh.auth.signing import NONCE_LENGTH
from qsh.errors import QshError
from qsh.log import logger
from qsh.server.accounts.rules import Dialogue
from qsh.server.launch.connection_start import ConnectionStart
from qsh.server.launch.host_keys import Signer
from qsh.server.listener import connection_ids
from qsh.server.listener.limits import GRACE_MARGIN, RateLimit
from qsh.server.listener.link import LOGGED_IN, ListenerLink, serve_door
from qsh.server.monitor.keeping import KEEPING_RULES
from qsh.server.monitor.kept_sessions import KeptSessions, folder_beside
from qsh.server.monitor.log_lines import User, ended_line, worker_line
from qsh.server.monitor.login_check import Login, LoginCheck
from qsh.server.monitor.login_dialogue import LoginDialogue
from qsh.server.monitor.messages import (
    MAX_IDS,
    MAX_MESSAGE,
    REQUESTS,
    AnswerQuestions,
    AttestationSigned,
    CheckLogin,
    Ended,
    GiveIds,
    HostKeyProof,
    HostKeys,
    Ids,
    ListHostKeys,
    LoginVerdict,
    LogLine,
    NewPasswordWanted,
    OpenerRefused,
    OpenerStarted,
    Outcome,
    ProveHostKey,
    ProveSession,
    SessionRefused,
    SignAttestation,
    StartOpener,
    StartSession,
)
from qsh.server.monitor.moves import MOVE_RULES, Moves
from qsh.server.monitor.rules import IDLE, NotPermitted, Rule, Stage, session_of
from qsh.server.monitor.sessions import SessionRefusedError, Sessions
from qsh.server.monitor.ticket_rules import TICKET_RULES
from qsh.server.monitor.tickets import Tickets
from qsh.wire.codec import Writer, encode

_log = logger("monitor")

MAX_CHECKS = 64
"""Login requests on one connection: tries are counted by policy, questions about keys by this."""
MAX_ANSWERS = 256
"""Rounds of questions on one connection."""
LOG_RATE, LOG_BURST = 10.0, 100.0
"""Lines per second, and at once, that a worker may write to the log."""


class Monitor:
    """The loop, and the answers of the table below."""

    def __init__(self, start: ConnectionStart, worker: int) -> None:
        self._start = start
        self._worker = worker
        self._is_worker_there = True
        self._is_condemned = False
        self._requests = start.requests
        self._signer = Signer(start.signer)
        self._selector = selectors.DefaultSelector()
        self.kept = KeptSessions(folder_beside(start.folder))
        self.reached: set[bytes] = set()
        """Numbers of the sessions that this connection has been given."""
        self._sessions = Sessions(start.peers, start.keys, self.kept)
        self._link = ListenerLink(
            start.number, start.peers, start.report, start.relay, start.folder
        )
        self.moves = Moves(start.config, start.peers.local, self._link)
        self._dialogue = LoginDialogue(self)
        self._counts: dict[type, int] = {}
        self._attestation = b""
        self._log_rate = RateLimit(LOG_RATE, LOG_BURST)
        grace = start.config.settings.login_grace_time
        self._deadline = None if grace is None else time.monotonic() + grace
        self._is_late = False
        self._has_ended = False

    def run(self) -> None:
        """Until worker and holders have ended; SIGTERM ends them, and PAM closes its session."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._selector.register(self._worker, selectors.EVENT_READ, self._take_worker_end)
        self._selector.register(self._requests, selectors.EVENT_READ, self._serve)
        serve_door(self._link, self._watch, self._forget)
        try:
            while self._is_worker_there or self._sessions.holders:
                self.turn(self.patience())
        finally:
            self._link.close()
            if self._login is not None:
                self._login.close()

    def _end(self) -> None:
        self._requests.shutdown(socket.SHUT_RDWR)
        self._sessions.end()

    def _watch(self, sock: socket.socket, call: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, call)

    def _forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)

    def turn(self, patience: float | None) -> None:
        """Deal with what is there. Also called within a login request (LoginDialogue): what the
        inner turn has dealt with and taken from the selector is not for the outer one."""
        for key, _ in self._selector.select(patience):
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        self._check_grace()

    # ------------------------------------------------------------ the worker

    def _serve(self) -> bool:
        """One request; False if there is none. What a worker has sent after something forbidden
        comes from the same hands."""
        if self._is_condemned:
            return False
        try:
            data = self._requests.recv(MAX_MESSAGE, socket.MSG_DONTWAIT)
        except OSError:
            return False
        if not data:
            self._stop_listening()  # the worker is ending
            return False
        try:
            request = REQUESTS.decode(data)
            answer = self._rule_for(request).answer(self, request)
        except (NotPermitted, QshError) as error:
            _log.error("monitor: %s: ending the connection from %s", error, self._origin)
            self._kill_worker()
            return False
        if answer is not None:
            self.reply(*answer) if isinstance(answer, tuple) else self.reply(answer)
        return True

    def _rule_for(self, request: Any) -> Rule:
        """Default deny. Raises NotPermitted."""
        kind = type(request)
        rule = TABLE.get(kind)
        if rule is None:
            raise NotPermitted(f"request {kind.__name__} has no rule")
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        rule.check(
            kind.__name__, count, self._dialogue.stage,
            is_attested=self._login is not None, is_logged_in=self._is_logged_in,
        )  # fmt: skip
        return rule

    def reply(self, answer: Any, passed: socket.socket | None = None) -> None:
        """To the worker. `passed` goes with it, and is closed here."""
        descriptors = [passed.fileno()] if passed is not None else []
        try:
            socket.send_fds(self._requests, [encode(answer)], descriptors)
        except OSError:
            self._kill_worker()
        finally:
            if passed is not None:
                passed.close()

    @property
    def has_worker(self) -> bool:
        """Whether somebody is there to be answered."""
        return self._is_worker_there and not self._is_condemned

    def _kill_worker(self) -> None:
        self._is_condemned = True
        if self._is_worker_there:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._worker, signal.SIGKILL)
        self._stop_listening()

    def _stop_listening(self) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._requests)

    def _take_worker_end(self) -> None:
        """Its parent, the zygote, tells the log if it did not end in peace."""
        while self._serve():
            pass  # its last words
        if not self._is_worker_there:
            return
        self._stop_listening()
        self._selector.unregister(self._worker)
        os.close(self._worker)
        self._is_worker_there = False
        self._link.tell(self._dialogue.report(is_late=self._is_late, has_ended=self._has_ended))

    # ------------------------------------------------------------ time

    def patience(self) -> float | None:
        """Seconds until LoginGraceTime is over, if somebody is still to log in."""
        if self._deadline is None or not self.has_worker:
            return None
        return max(0.0, self._deadline - time.monotonic())

    def _check_grace(self) -> None:
        """The worker ends by itself at its deadline, telling the client; we see to it."""
        if self._is_logged_in or self._deadline is None or time.monotonic() < self._deadline:
            return
        if self._is_late:
            self._kill_worker()
            self._deadline = None
            return
        self._is_late = True
        self._deadline += GRACE_MARGIN
        local = self._start.peers.local
        _log.info("Timeout before authentication for connection from %s to %s port %d",
                  self._origin, *local)  # fmt: skip

    # ------------------------------------------------------------ answers

    @property
    def _login(self) -> LoginCheck | None:
        return self._dialogue.check

    @property
    def _is_logged_in(self) -> bool:
        return self._login is not None and self._login.login is not None

    @property
    def _origin(self) -> str:
        host, port = self._start.peers.remote
        return f"{host} port {port}"

    def give_ids(self, request: GiveIds) -> Ids:
        """Connection IDs of this worker's number and no other."""
        if request.count > MAX_IDS:
            raise NotPermitted(f"{request.count} connection IDs at once")
        start = self._start
        return Ids(connection_ids.issue_many(start.keys, start.number, request.count))

    def sign_attestation(self, request: SignAttestation) -> AttestationSigned:
        """The first host key's word for the TLS key. The client's connection ID comes from the
        listener and the nonce from here, so it is good for this connection only."""
        start = self._start
        key = start.host_keys[0]
        attestation = self._signer.attest(
            request.spki, start.original_destination, os.urandom(NONCE_LENGTH)
        )
        self._attestation = attestation
        self._dialogue.check = LoginCheck(
            start.config, start.peers, attestation, key.shown.blob, time.time,
            Dialogue(self._dialogue.ask, self._dialogue.pause),
            tickets=Tickets(self.kept.folder),
        )
        return AttestationSigned(attestation)

    def check_login(self, request: CheckLogin) -> LoginVerdict | NewPasswordWanted | None:
        """One login request, which may ask the user on the way."""
        verdict = self._dialogue.judge(request, self._deadline)
        if isinstance(verdict, LoginVerdict) and verdict.outcome == Outcome.ACCEPTED:
            assert self._login is not None
            self._deadline = None
            self.moves.login = self._login.login
            self._link.tell(LOGGED_IN)
        return verdict

    def answer_questions(self, request: AnswerQuestions) -> None:
        """What the user said; the verdict is the reply."""
        self._dialogue.answer(request)

    def list_host_keys(self, _request: ListHostKeys) -> HostKeys:
        """The public keys."""
        writer = Writer()
        for key in self._start.host_keys:
            writer.string(key.key.blob)
        return HostKeys(writer.finish())

    def prove_host_key(self, request: ProveHostKey) -> HostKeyProof:
        """A signature over this connection's session identifier."""
        session_id = session_of(request.exporter, self._attestation)
        return HostKeyProof(self._signer.prove(session_id, request.key_blob))

    def prove_session(self, request: ProveSession) -> HostKeyProof:
        """A signature over this connection's session identifier, and nothing else."""
        return HostKeyProof(self._signer.prove_session(request.exporter, self._attestation))

    def start_session(self, request: StartSession) -> Any:
        """A session of the user who logged in, as permitted."""
        assert self._login is not None
        try:
            login = self.standing_login
            if login.only_session:
                raise SessionRefusedError("a session ticket is good for its own session only")
            sock, started = self._sessions.start(login, request)
        except SessionRefusedError as error:
            _log.info("session of %s from %s: %s", self._login.user, self._origin, error)
            return SessionRefused(str(error))
        self._watch_children()
        if started.kept:
            self.reached.add(request.session)
        return started, sock

    @property
    def standing_login(self) -> Login:
        """The login, in requests that may come only after it."""
        assert self._login is not None
        assert self._login.login is not None
        return self._login.login

    def start_opener(self, _request: StartOpener) -> Any:
        """The user's opener."""
        assert self._login is not None
        try:
            sock = self._sessions.start_opener(self.standing_login)
        except SessionRefusedError as error:
            _log.info("forwarding for %s from %s: %s", self._login.user, self._origin, error)
            return OpenerRefused(str(error))
        self._watch_children()
        return OpenerStarted(), sock

    @property
    def sessions(self) -> Sessions:
        """Those of this connection, and the account's rules that stand before them."""
        return self._sessions

    def _watch_children(self) -> None:
        for child, pidfd in self._sessions.holders.items():
            if pidfd not in self._selector.get_map():
                self._watch_holder(child, pidfd)

    def _watch_holder(self, child: int, pidfd: int) -> None:
        def reap() -> None:
            self._selector.unregister(pidfd)
            self._sessions.reap(child)

        self._selector.register(pidfd, selectors.EVENT_READ, reap)

    def log_line(self, request: LogLine) -> None:
        """A line of the worker, marked as such: it cannot pass for one of ours."""
        if self._log_rate.allows(time.monotonic()):
            _log.log(*worker_line(request.level, request.text))

    def ended(self, request: Ended) -> None:
        """The end of the connection, for the log, in sshd's words."""
        self._has_ended = True
        login = self._login
        who = User(login.user, login.is_user_valid) if login is not None and login.user else None
        _log.info("%s", ended_line(self._origin, who, request.text, by_peer=request.by_peer,
                                   is_logged_in=self._is_logged_in))  # fmt: skip


TABLE: dict[type, Rule] = {
    GiveIds: Rule(Monitor.give_ids, times=10_000, attested=False),
    SignAttestation: Rule(Monitor.sign_attestation, times=1, attested=False, logged_in=False),
    CheckLogin: Rule(Monitor.check_login, times=MAX_CHECKS, logged_in=False,
                     stages=frozenset({Stage.IDLE, Stage.ASKING})),
    AnswerQuestions: Rule(Monitor.answer_questions, times=MAX_ANSWERS, logged_in=False,
                          stages=frozenset({Stage.ASKING})),
    ListHostKeys: Rule(Monitor.list_host_keys, times=1),
    ProveHostKey: Rule(Monitor.prove_host_key, times=8),
    ProveSession: Rule(Monitor.prove_session, times=8),
    StartSession: Rule(Monitor.start_session, logged_in=True, stages=IDLE),
    StartOpener: Rule(Monitor.start_opener, times=1, logged_in=True, stages=IDLE),
    **MOVE_RULES,
    **KEEPING_RULES,
    **TICKET_RULES,
    LogLine: Rule(Monitor.log_line, attested=False),
    Ended: Rule(Monitor.ended, times=1, attested=False),
}  # fmt: skip
"""All that a worker may ask. What is not here is denied."""
