"""A forward's UDP socket: many datagrams in each of few system calls.

The kernel hands over a run of equal datagrams as one buffer where they came as one (GRO), and cuts
one into equal datagrams (GSO); elsewhere they go one by one. What a socket's buffer or the network
does not take is lost, as on any path.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress

from qsh.log import logger
from qsh.net import offload

_log = logger("forward")

READ_SIZE = 65535
READS_PER_TURN = 128
"""Receive calls on one socket before the loop gets to others."""
MAX_RUN = 64
"""Datagrams and bytes that the kernel cuts at once."""
MAX_RUN_BYTES = 65_000

Address = tuple[str, int] | tuple[str, int, int, int]


def receive(sock: socket.socket) -> dict[Address, list[bytes]]:
    """What is there, by its sender; some of it, if it is much. Empty also for an error that
    answers something sent before."""
    found: dict[Address, list[bytes]] = {}
    with suppress(OSError):
        for _ in range(READS_PER_TURN):
            data, control, _, address = sock.recvmsg(READ_SIZE, offload.GRO_SPACE)
            datagrams = found.setdefault(address, [])
            size = offload.segment_size(control, len(data)) if control else 0
            if 0 < size < len(data):
                datagrams.extend(offload.split(data, size))
            else:
                datagrams.append(data)
    return found


def send(sock: socket.socket, payloads: list[bytes], address: Address | None = None) -> None:
    """Send datagrams to `address`, or where the socket is connected to."""
    for run in runs(payloads):
        if len(run) == 1 or not _send_run(sock, run, address):
            for payload in run:
                _send_one(sock, payload, address)


def runs(payloads: list[bytes]) -> Iterator[list[bytes]]:
    """Cut into runs that the kernel can make out of one buffer: of one size, but for the last."""
    start = 0
    while start < len(payloads):
        size = len(payloads[start])
        most = min(MAX_RUN, MAX_RUN_BYTES // size) if size else 1
        end = start + 1
        while end < len(payloads) and end - start < most and len(payloads[end]) == size:
            end += 1
        if end < len(payloads) and end - start < most and 0 < len(payloads[end]) < size:
            end += 1
        yield payloads[start:end]
        start = end


def _send_run(sock: socket.socket, run: list[bytes], address: Address | None) -> bool:
    """Whether it left as one; else none of it did."""
    control = offload.segment_control(len(run[0]))
    try:
        if address is None:
            sock.sendmsg(run, control)
        else:
            sock.sendmsg(run, control, 0, address)
    except OSError:  # no such offload, larger than the path, or the answer to an earlier one
        return False
    return True


def _send_one(sock: socket.socket, payload: bytes, address: Address | None) -> None:
    try:
        if address is None:
            sock.send(payload)
        else:
            sock.sendto(payload, address)
    except OSError as error:
        _log.debug2("udp: %s", error.strerror)
