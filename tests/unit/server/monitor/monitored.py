"""A real monitor process whose worker is the test."""

import os
import socket
import subprocess
import time
from pathlib import Path

from qsh import log
from qsh.auth.signing import session_identifier, sign_userauth
from qsh.config.lines import parse_option
from qsh.config.server import load_server
from qsh.server import run_directory
from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.environment import Peers
from qsh.server.launch.connection_start import ConnectionStart
from qsh.server.launch.host_key_files import HostKeyPlan
from qsh.server.launch.host_keys import HostKeyProcess
from qsh.server.listener import connection_ids
from qsh.server.monitor.messages import (
    REPLIES,
    CheckLogin,
    Outcome,
    SignAttestation,
)
from qsh.server.monitor.monitor import Monitor
from qsh.wire.codec import encode, encode_body
from qsh.wire.userauth_messages import PublicKeyRequest
from tests.key_making import ED25519

EXPORTER = b"e" * 32
USER = own_account().name
NUMBER = 12345


class Monitored:
    """The monitor, started; `ask` is what a worker does."""

    def __init__(self, folder, *options, keeps=False):
        self.folder = folder
        self.log = folder / "log"
        key = folder / "host_key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (folder / "keys").write_text(ED25519.public.authorized_line())
        lines = [f"AuthorizedKeysFile {folder}/keys", "StrictModes no", f"HostKey {key}", *options]
        config = load_server("none", [parse_option(line) for line in lines])
        self.keys = connection_ids.ServerKeys.generate()
        self.host_keys = HostKeyProcess(HostKeyPlan(config.settings.host_keys))
        self.report, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        relay = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0]
        self.socket, monitors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.start = ConnectionStart(
            number=NUMBER, config=config, host_keys=self.host_keys.keys,
            signer=self.host_keys.connect(), keys=self.keys,
            peers=Peers(("192.0.2.1", 4242), ("198.51.100.1", 22)), requests=monitors,
            relay=relay, report=report, original_destination=b"o" * 16,
            folder=run_directory.open_folder("connections", f"{folder}/run") if keeps else "",
        )  # fmt: skip
        self.end_of_worker, worker_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_monitor(monitors, worker_end)
        os.close(worker_end)
        for sock in (report, relay, monitors):
            sock.close()
        self.start.signer.close()

    def _be_monitor(self, monitors, worker_end):
        try:
            self.socket.close()
            log.configure(sink=log.file_sink(str(self.log)), level=log.Level.DEBUG1)
            worker = os.fork()
            if worker == 0:
                time.sleep(60)  # holds worker_end until it is killed
                os._exit(0)
            os.close(worker_end)
            Monitor(self.start, os.pidfd_open(worker)).run()
        finally:
            os._exit(0)

    def ask(self, request):
        self.socket.send(encode(request))
        data, descriptors, _, _ = socket.recv_fds(self.socket, 200_000, 1)
        self.descriptors = descriptors
        return REPLIES.decode(data) if data else None

    def is_killed(self):
        """Whether the worker has been ended (its end of the pipe closed)."""
        os.set_blocking(self.end_of_worker, False)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return os.read(self.end_of_worker, 1) == b""
            except BlockingIOError:
                time.sleep(0.01)
        return False

    def attest(self):
        self.attestation = self.ask(SignAttestation(b"spki")).attestation
        return self

    def log_in(self):
        session = session_identifier(EXPORTER, self.attestation)
        key = ED25519.public
        signature = sign_userauth(ED25519.sign, key, session, USER, "ssh-ed25519")
        body = encode_body(PublicKeyRequest("ssh-ed25519", key.blob, signature))
        verdict = self.ask(CheckLogin(EXPORTER, USER, "ssh-connection", "publickey", body))
        assert verdict.outcome == Outcome.ACCEPTED
        return self

    def ends(self):
        """Whether the monitor ends; its parent has yet to bury it."""
        deadline = time.monotonic() + 20
        stat = Path(f"/proc/{self.pid}/stat")
        while not (ended := stat.read_text().rpartition(")")[2].startswith(" Z")) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.02)
        return ended

    def forgets_tickets(self):
        """Whether there are none any more."""
        deadline = time.monotonic() + 20
        while (names := os.listdir(self.folder / "run" / "tickets")) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.02)
        return not names

    def logged(self, text):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.log.exists() and text in self.log.read_text():
                return True
            time.sleep(0.02)
        return False
