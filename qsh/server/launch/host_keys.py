"""The host's keys, in a process of their own that signs and does nothing else.

The listener starts it and gives each monitor a socket to it, so that no process which forks, and
none that becomes a user, ever had a private key in its memory. It writes what it signs itself: an
attestation for one connection (qsh.quic.identity), the answer to hostkeys-prove (OpenSSH's
PROTOCOL section 2.5), or a session identifier for agents; nobody can have it sign anything else.
"""

import contextlib
import os
import selectors
import signal
import socket
from dataclasses import dataclass
from typing import NoReturn

from qsh.auth.public_key import PublicKey
from qsh.auth.signing import EXPORTER_LENGTH, attestation_data, session_identifier
from qsh.errors import ConfigError, DecodeError, IdentityError, QshError
from qsh.quic.identity import encode_attestation
from qsh.server import sandbox
from qsh.server.descriptors import receive_with
from qsh.server.launch.host_key_files import HostKeyPlan, UsableKey, load_keys
from qsh.wire.codec import Reader, Registry, Rest, Writer, encode, message

PROOF_LABEL = b"hostkeys-prove-00@openssh.com"
MAX_MESSAGE = 128 * 1024


class SignerError(QshError):
    """The host key process gives no signature."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public side of one host key. `certificate` is None without one."""

    key: PublicKey
    certificate: PublicKey | None = None

    @property
    def shown(self) -> PublicKey:
        """What clients are shown: the certificate if there is one."""
        return self.certificate or self.key


@message(1)
@dataclass(frozen=True, slots=True)
class Attest:
    """The first host key's word for a TLS key. The answer is the attestation."""

    spki: bytes
    odcid: bytes
    nonce: bytes


@message(2)
@dataclass(frozen=True, slots=True)
class Prove:
    """A signature over a session identifier; empty if the key is none of ours."""

    session_id: bytes
    key_blob: Rest


@message(3)
@dataclass(frozen=True, slots=True)
class ProveSession:
    """A signature over a session identifier alone, which is made here of its parts: two hashes,
    so that nobody can have a text of his own signed."""

    exporter: bytes
    attestation: Rest


REQUESTS = Registry(Attest, Prove, ProveSession)


class Signer:
    """A monitor's way to the keys. Blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def attest(self, spki: bytes, odcid: bytes, nonce: bytes) -> bytes:
        """The attestation for a connection's TLS key. Raises SignerError."""
        return self._ask(encode(Attest(spki, odcid, nonce)))

    def prove(self, session_id: bytes, key_blob: bytes) -> bytes:
        """The answer to hostkeys-prove for one key; empty if it is not ours. Raises
        SignerError."""
        return self._ask(encode(Prove(session_id, key_blob)))

    def prove_session(self, exporter: bytes, attestation: bytes) -> bytes:
        """The first key's signature over a session identifier. Raises SignerError."""
        return self._ask(encode(ProveSession(exporter, attestation)))

    def _ask(self, request: bytes) -> bytes:
        try:
            self.sock.send(request)
            answer = self.sock.recv(MAX_MESSAGE)
        except OSError:
            answer = b""
        if answer[:1] != b"\0":
            raise SignerError("the host key does not sign")
        return answer[1:]


class HostKeyProcess:
    """The process, as its parent has it. `keys` are the public sides, the first one attests;
    `complaints` tell which keys could not be used."""

    def __init__(self, plan: HostKeyPlan) -> None:
        """Start it. Raises ConfigError if no key can be used."""
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._control.close()
            _run(control, plan)
        control.close()
        self.keys, self.complaints = self._read_keys()
        if not self.keys:
            self.stop()
            reasons = "; ".join(self.complaints) or "the process that loads them died"
            raise ConfigError(f"no hostkeys available: {reasons}")

    def connect(self) -> socket.socket:
        """A socket for one monitor's Signer. Raises OSError if the process is gone."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            socket.send_fds(self._control, [b"\0"], [its.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        return ours

    def fileno(self) -> int:
        """The descriptor that whoever takes the process over must keep."""
        return self._control.fileno()

    def stop(self) -> None:
        """No new monitors: it ends with the last one that has a socket."""
        self._control.close()

    def _read_keys(self) -> tuple[tuple[HostKey, ...], tuple[str, ...]]:
        try:
            reader = Reader(self._control.recv(MAX_MESSAGE))
            complaints = tuple(reader.text() for _ in range(reader.uint32()))
            keys = []
            while not reader.at_end:
                key, certificate = reader.string(), reader.string()
                shown = PublicKey.from_blob(certificate) if certificate else None
                keys.append(HostKey(PublicKey.from_blob(key), shown))
        except (OSError, DecodeError, IdentityError):
            return (), ()
        return tuple(keys), complaints


# ---------------------------------------------------------------- in the process


def _run(control: socket.socket, plan: HostKeyPlan) -> NoReturn:
    """Never returns."""
    status = 255
    try:
        sandbox.name_process("qshd-keys")
        sandbox.hide_memory()
        sandbox.close_all_but({control.fileno()})  # also the terminal of whoever starts qshd
        sandbox.null_standard_files()
        signal.set_wakeup_fd(-1)
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        keys, complaints = load_keys(plan)
        control.send(_encode_keys(keys, complaints))
        _serve(control, keys)
        status = 0
    finally:
        os._exit(status)


def _encode_keys(keys: list[UsableKey], complaints: list[str]) -> bytes:
    writer = Writer().uint32(len(complaints))
    for text in complaints:
        writer.text(text)
    for key in keys:
        public = key.key.public
        writer.string(public.plain.blob).string(public.blob if public.is_certificate else b"")
    return writer.finish()


def _serve(control: socket.socket, keys: list[UsableKey]) -> None:
    """Until the listener and all monitors have gone."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    while selector.get_map():
        for ready, _ in selector.select():
            sock = ready.fileobj
            assert isinstance(sock, socket.socket)
            try:
                if sock is control:
                    data, descriptors = receive_with(control, 16, 1)
                    for descriptor in descriptors:
                        selector.register(socket.socket(fileno=descriptor), selectors.EVENT_READ)
                else:
                    data = sock.recv(MAX_MESSAGE)
                    if data:
                        sock.send(_answer(data, keys), socket.MSG_DONTWAIT)
            except OSError:
                data = b""
            if not data:
                selector.unregister(sock)
                sock.close()


def _answer(data: bytes, keys: list[UsableKey]) -> bytes:
    with contextlib.suppress(QshError):
        request = REQUESTS.decode(data)
        if isinstance(request, Attest):
            blob = keys[0].key.public.blob
            signature = keys[0].sign(
                attestation_data(request.spki, request.odcid, request.nonce, blob)
            )
            return b"\0" + encode_attestation(blob, request.nonce, signature)
        if isinstance(request, ProveSession):
            if len(request.exporter) != EXPORTER_LENGTH:
                return b"\1"
            identifier = session_identifier(request.exporter, request.attestation)
            return b"\0" + keys[0].sign(identifier)
        for key in keys:
            if key.key.public.plain.blob == request.key_blob:
                proof = Writer().string(PROOF_LABEL).string(request.session_id)
                return b"\0" + key.sign(proof.string(request.key_blob).finish())
        return b"\0"
    return b"\1"
