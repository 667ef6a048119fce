"""A real monitor process; the test is its worker, well-behaved or not."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from qsh.auth.signing import session_identifier
from qsh.auth.tickets import new_ticket_key, ticket_data
from qsh.quic.identity import decode_attestation
from qsh.server.holder.messages import Mode, Start, frame
from qsh.server.listener import connection_ids
from qsh.server.listener.link import LOGGED_IN
from qsh.server.monitor.keeping_messages import (
    AttachSession,
    EndSession,
    SessionAttached,
    SessionEnded,
)
from qsh.server.monitor.messages import (
    MAX_IDS,
    REQUESTS,
    CheckLogin,
    Ended,
    GiveIds,
    HostKeyProof,
    ListHostKeys,
    LoginVerdict,
    LogLine,
    Outcome,
    ProveHostKey,
    SessionRefused,
    SessionStarted,
    SignAttestation,
    StartSession,
)
from qsh.server.monitor.monitor import TABLE, Monitor
from qsh.server.monitor.ticket_messages import TicketWritten, WriteTicket
from qsh.wire.codec import encode, encode_body
from qsh.wire.userauth_messages import TicketRequest
from tests.unit.server.monitor.monitored import EXPORTER, NUMBER, USER, Monitored

EXEC = StartSession(1, b"echo hello", False, "", 0, 0, 0, 0, b"", b"")


@pytest.fixture
def monitor(tmp_path):
    started = []

    def start(*options, keeps=False):
        started.append(Monitored(tmp_path, *options, keeps=keeps))
        return started[-1]

    yield start
    for one in started:
        one.socket.close()
        one.host_keys.stop()
        os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
        one.report.close()
        os.close(one.end_of_worker)


def test_every_request_has_a_rule_and_nothing_else_has():
    assert {cls.number for cls in TABLE} == set(REQUESTS._types)


def test_ids_are_of_this_worker(monitor):
    one = monitor()
    raw = one.ask(GiveIds(3)).ids
    for at in range(0, len(raw), 32):
        connection_id, token = raw[at : at + 16], raw[at + 16 : at + 32]
        assert connection_ids.number_of(one.keys, connection_id) == NUMBER
        assert connection_ids.reset_token(one.keys, connection_id) == token
    assert len(raw) == 96


def test_attestation_is_for_this_connection(monitor):
    from qsh.auth.signing import verify_attestation

    one = monitor().attest()
    attestation = decode_attestation(one.attestation)
    assert verify_attestation(attestation, b"spki", b"o" * 16)


@pytest.mark.parametrize(
    "requests",
    [
        [GiveIds(MAX_IDS + 1)],
        [SignAttestation(b"spki"), SignAttestation(b"another")],
        [CheckLogin(EXPORTER, USER, "ssh-connection", "none", b"")],
        [EXEC],
        [SignAttestation(b"spki"), EXEC],
        [ListHostKeys()],
        [SignAttestation(b"spki"), ProveHostKey(b"short", b"key")],
        [SignAttestation(b"spki"), ListHostKeys(), ListHostKeys()],
        [LoginVerdict(3, (), "", True, (), 1)],
    ],
    ids=lambda requests: "-".join(type(r).__name__ for r in requests),
)
def test_what_is_not_permitted_ends_the_worker(monitor, requests):
    one = monitor()
    for request in requests[:-1]:
        assert one.ask(request) is not None
    one.socket.send(encode(requests[-1]))
    assert one.is_killed()
    assert one.logged("ending the connection from 192.0.2.1 port 4242")


def test_what_is_queued_behind_a_forbidden_request_is_not_served(monitor):
    """It comes from the same hands: a session would be started by it."""
    one = monitor().attest().log_in()
    touch = StartSession(
        1, f"touch {one.log}.started".encode(), False, "", 0, 0, 0, 0, b"", b""
    )  # fmt: skip
    os.kill(one.pid, signal.SIGSTOP)  # all of it is there when the monitor looks
    for request in (SignAttestation(b"another"), LogLine(0, "said too late"), touch):
        one.socket.send(encode(request))
    os.kill(one.pid, signal.SIGCONT)
    assert one.is_killed()
    assert one.ends()  # no session of the worker's holds it
    log_text = one.log.read_text()
    assert "said too late" not in log_text
    assert not Path(f"{one.log}.started").exists()


@pytest.mark.parametrize("data", [b"\xff", b"\1", b"\3" * 100, b"\6" + b"\xff" * 40])
def test_garbage_ends_the_worker(monitor, data):
    one = monitor()
    one.socket.send(data)
    assert one.is_killed()


def test_login_and_session(monitor):
    one = monitor().attest().log_in()
    assert one.report.recv(10) == LOGGED_IN
    assert one.ask(EXEC) == SessionStarted(False)
    with socket.socket(fileno=one.descriptors[0]) as holder:
        holder.settimeout(10)
        holder.sendall(frame(Start(Mode.TAKE_OVER, b"", "", False, 0, 0)))
        told = b""
        while b"hello\n" not in told:
            told += holder.recv(65536)
    assert one.logged(f"Accepted publickey for {USER} from 192.0.2.1 port 4242 qsh/1: ED25519")


def test_a_second_login_is_not_permitted(monitor):
    one = monitor().attest().log_in()
    one.socket.send(encode(CheckLogin(EXPORTER, USER, "ssh-connection", "none", b"")))
    assert one.is_killed()


def test_max_sessions(monitor):
    one = monitor("MaxSessions 1").attest().log_in()
    sleeper = StartSession(1, b"sleep 60", False, "", 0, 0, 0, 0, b"", b"")
    assert one.ask(sleeper) == SessionStarted(False)
    (first,) = one.descriptors
    assert isinstance(one.ask(EXEC), SessionRefused)
    os.close(first)  # hangs up
    deadline = time.monotonic() + 10
    while isinstance(one.ask(EXEC), SessionRefused) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert one.descriptors


SESSION = b"0123456789abcdef"
KEPT = StartSession(1, b"sleep 60", False, "", 0, 0, 0, 0, b"", b"", session=SESSION)


def come_back(one, key_blob, sign):
    """A login by a ticket: the verdict."""
    session_id = session_identifier(EXPORTER, one.attestation)
    host_key = one.host_keys.keys[0].key.blob
    signed = ticket_data(session_id, USER, SESSION, key_blob, host_key)
    body = encode_body(TicketRequest(SESSION, key_blob, host_key, sign(signed)))
    return one.ask(CheckLogin(EXPORTER, USER, "ssh-connection", TicketRequest.method, body))


def test_a_ticket_leads_to_its_session_and_nowhere_else(monitor):
    key_blob, sign = new_ticket_key()
    first = monitor(keeps=True).attest().log_in()
    other = StartSession(1, b"sleep 60", False, "", 0, 0, 0, 0, b"", b"", session=bytes(16))
    assert first.ask(WriteTicket(SESSION, key_blob)) == TicketWritten(False)  # not there yet
    for session in (KEPT, other):
        assert first.ask(session) == SessionStarted(False, True)
        os.close(first.descriptors[0])
    assert first.ask(WriteTicket(SESSION, key_blob)) == TicketWritten(True)
    # Another worker of the user's knows of the session, but has not been given it.
    second = monitor(keeps=True).attest().log_in()
    assert second.ask(WriteTicket(SESSION, key_blob)) == TicketWritten(False)
    third = monitor(keeps=True).attest()
    assert come_back(third, key_blob, sign).outcome == Outcome.ACCEPTED
    assert isinstance(third.ask(EXEC), SessionRefused)
    assert isinstance(third.ask(AttachSession(bytes(16).hex())), SessionRefused)
    assert third.ask(EndSession(bytes(16).hex())) == SessionEnded(False)
    assert third.ask(WriteTicket(SESSION, key_blob)) == TicketWritten(False)
    attached = third.ask(AttachSession(SESSION.hex()))
    assert attached == SessionAttached(SESSION, False)
    os.close(third.descriptors[0])
    assert third.ask(EndSession(SESSION.hex())) == SessionEnded(True)
    assert first.forgets_tickets()
    fourth = monitor(keeps=True).attest()
    assert come_back(fourth, key_blob, sign).outcome == Outcome.REFUSED


def test_a_forbidden_terminal_is_refused(monitor):
    one = monitor("PermitTTY no").attest().log_in()
    asked = StartSession(0, b"", True, "xterm", 80, 24, 0, 0, b"", b"")
    assert isinstance(one.ask(asked), SessionRefused)
    assert one.logged("Pty allocation disabled.")


def test_host_keys_and_proof(monitor):
    one = monitor().attest()
    key = one.host_keys.keys[0].key
    assert key.blob in one.ask(ListHostKeys()).keys
    proof = one.ask(ProveHostKey(EXPORTER, key.blob))
    assert isinstance(proof, HostKeyProof)
    session = session_identifier(EXPORTER, one.attestation)
    signed = encode_strings(b"hostkeys-prove-00@openssh.com", session, key.blob)
    assert key.verify(signed, proof.signature)
    assert one.ask(ProveHostKey(EXPORTER, b"another")).signature == b""


def encode_strings(*values):
    return b"".join(len(value).to_bytes(4, "big") + value for value in values)


def test_grace_time(monitor):
    one = monitor("LoginGraceTime 1")
    began = time.monotonic()
    assert one.is_killed()
    assert 2.5 < time.monotonic() - began < 9
    assert one.logged("Timeout before authentication for connection from 192.0.2.1 port 4242")


def test_lines_of_a_worker_are_marked_and_bounded(monitor):
    one = monitor()
    one.socket.send(encode(LogLine(0, "Accepted publickey for root\nqshd: forged")))
    for number in range(200):
        one.socket.send(encode(LogLine(3, f"line {number}")))
    assert one.logged("qsh: Accepted publickey for root\\x0aqshd: forged [worker]\n")
    one.ask(GiveIds(1))
    assert one.log.read_text().count("[worker]") < 150


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (Ended(True, ""), "Connection closed by 192.0.2.1 port 4242 [preauth]"),
        (Ended(False, "idle timeout"),
         "Timeout, client not responding from 192.0.2.1 port 4242 [preauth]"),
        (Ended(False, "bad message"), "Disconnecting 192.0.2.1 port 4242: bad message [preauth]"),
    ],
)  # fmt: skip
def test_the_end_is_told_as_sshd_does(monitor, ended, line):
    one = monitor()
    one.socket.send(encode(ended))
    assert one.logged(f"qsh: {line}\n")


def test_the_end_after_a_login(monitor):
    one = monitor().attest().log_in()
    one.socket.send(encode(Ended(True, "")))
    assert one.logged(f"Disconnected from user {USER} 192.0.2.1 port 4242\n")


def test_it_lives_until_its_last_holder_ends(monitor):
    one = monitor().attest().log_in()
    one.ask(StartSession(1, b"sleep 60", False, "", 0, 0, 0, 0, b"", b""))
    (holder,) = one.descriptors
    worker = children_of(one.pid)[0]  # the oldest
    os.kill(worker, signal.SIGKILL)
    assert os.waitpid(one.pid, os.WNOHANG) == (0, 0)
    os.close(holder)
    assert one.ends()


def test_what_was_dealt_with_within_a_request_is_not_dealt_with_again(monitor):
    """While a module of PAM asks the user, a turn of the loop runs within another: what both were
    told is ready may be gone when the outer one comes to it, as a listener that took over."""
    loop, calls = Monitor(monitor().start, -1), []
    ends = [socket.socketpair() for _ in range(2)]

    def nested(own):
        loop._forget(own)
        calls.append(own)
        loop.turn(0)

    for ours, others in ends:
        others.send(b"ready")
        loop._watch(ours, lambda own=ours: nested(own))
    loop.turn(0)
    assert sorted(map(id, calls)) == sorted(id(ours) for ours, _ in ends)


def children_of(pid):
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
