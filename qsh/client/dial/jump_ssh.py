"""A host on the way that has sshd and no qshd: the system's ssh connects us to the next TcpPort.

    client ── ssh -W host:TcpPort gate ── gate ── TLS on TcpPort ── host
       └────────────────── QUIC, end to end ──────────────────┘

ssh sees what any host on the way sees: packets that it cannot read.
"""

import contextlib
import socket
import subprocess

from qsh import log
from qsh.client.dial.fallback import had_server, remember_silence
from qsh.client.dial.ssh_words import ignore_unknown
from qsh.config.client_settings import ClientSettings
from qsh.config.jumps import jumps_text
from qsh.errors import NetworkError, NoServerError
from qsh.net.tls_link import open_tls_on
from qsh.net.udp import DatagramLink
from qsh.quic.events import Address

_log = log.logger("jump")


def words_for_jump(settings: ClientSettings) -> list[str]:
    """An ssh that connects its input and output with the server's TcpPort, from the last host
    before it. Raises NetworkError if there is none."""
    if settings.tcp_port is None:
        raise NetworkError("the jump host has no qshd, and TcpPort is none: there is no way on")
    *others, hop = settings.proxy_jump
    words = ["ssh", *ignore_unknown(settings), "-o", "ClearAllForwardings=yes"]
    if settings.config_file is not None:
        words += ["-F", settings.config_file]
    if others:
        words += ["-J", jumps_text(tuple(others))]
    if hop.user:
        words += ["-l", hop.user]
    if hop.port:
        words += ["-p", str(hop.port)]
    if settings.batch_mode:
        words += ["-o", "BatchMode=yes"]
    return [*words, "-W", f"[{settings.hostname}]:{settings.tcp_port}", "--", hop.host]


async def open_through_ssh(settings: ClientSettings, hop: ClientSettings, error: NoServerError,
                           here: Address, there: Address) -> DatagramLink:
    """A link by ssh, where no qshd answers at `hop`. Raises NetworkError, and `error` where ssh
    is not wanted."""
    if hop.fallback_to_ssh == "no":
        raise error
    words = words_for_jump(settings)
    if had_server(hop):
        _log.error("WARNING: %s had qshd before, and now it does not answer: using ssh",
                   hop.original_host)  # fmt: skip
    remember_silence(hop, error.source)
    _log.debug1("no qshd at %s: running %s", hop.original_host, " ".join(words))
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(words, stdin=theirs.fileno(), stdout=theirs.fileno())
    except OSError as failure:
        ours.close()
        raise NetworkError(f"cannot run ssh: {failure.strerror}") from None
    finally:
        theirs.close()
    try:
        return await open_tls_on(ours, settings.hostname, here, there)
    except OSError as failure:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        raise NetworkError(
            f"no way through {hop.original_host} by ssh to TcpPort {settings.tcp_port} of "
            f"{settings.original_host}: {failure.strerror or failure}"
        ) from None
