"""In a flood the kernel drops most packets that would begin a connection, before they cost us.

A flood of forged Initials is worse the more the listener does for each of them. It can answer so
many a second with a Retry; the rest it would read in vain. So it gives the kernel a program
(SO_ATTACH_FILTER of socket(7)) that lets a share of them through by chance: a client sends again
until it has luck, as it would have to anyway. Initials with a token, and packets of connections
that are there, are never touched.
"""

import contextlib
import socket
import struct
from array import array
from collections.abc import Iterable

from qsh.log import logger
from qsh.server.bpf import (
    ADD_X,
    INSTRUCTION_SIZE,
    JUMP_ANY_BIT,
    JUMP_AT_LEAST,
    JUMP_EQUAL,
    LOAD_BYTE,
    LOAD_BYTE_AT_X,
    LOAD_WORD,
    RETURN,
    TO_X,
    jump,
    statement,
)
from qsh.server.listener.cid_router import LONG_HEADER, VERSION_1, Header, initial_token

_log = logger("listener")

# From asm/socket.h, linux/filter.h.
SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_MEMINFO = 26, 27, 55
_MEMINFO = struct.Struct("=9I")
"""The last number is that of datagrams that did not come to us (SK_MEMINFO_DROPS)."""
RANDOM_WORD = 0xFFFFF038  # SKF_AD_OFF + SKF_AD_RANDOM
WHOLE = 0xFFFFFFFF
"""Bytes of the datagram to keep."""
UDP_HEADER = 8
"""Bytes of it that the program sees before the payload."""
TYPE_BITS = 0x30
"""Of a long header's first byte; 0 in an Initial."""

# Ours.
LET_THROUGH = 2000.0
"""Beginnings a second in a flood: as many as get a Retry."""
FLOOD = 2 * LET_THROUGH
"""Beginnings a second from which on it is one."""
TURN = 0.25
"""Seconds between two decisions."""


def begins(data: bytes, header: Header) -> bool:
    """Whether the packet is one of those that the program judges."""
    return header.is_long and not (header.is_initial and initial_token(data, header))


class Share:
    """Which share of the beginnings to let through, 1 for all. Pure."""

    def __init__(self, now: float) -> None:
        self.share = 1.0
        self._seen = 0
        self._since = now

    def seen(self) -> None:
        """One came through."""
        self._seen += 1

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return now - self._since >= TURN

    def decide(self, now: float, dropped: int) -> bool:
        """Look again; whether the share has changed. `dropped` datagrams have not come through
        since the last time: there was no room, or the program dropped them."""
        rate = (self._seen + dropped) / (now - self._since)
        self._seen, self._since = 0, now
        before = self.share
        # Half of what it takes to begin is enough to go on, so that it does not flap.
        bound = FLOOD if before == 1 else LET_THROUGH
        self.share = LET_THROUGH / rate if rate > bound else 1.0
        return self.share != before


class Sieve:
    """The program on the listener's sockets."""

    def __init__(self, sockets: Iterable[socket.socket], now: float) -> None:
        self._sockets = tuple(sockets)
        self._share = Share(now)
        self._dropped = self._count_dropped()
        self._drop_all_programs()  # one before us may have left its own

    @property
    def patience(self) -> float | None:
        """Seconds after which `turn` is to be called, though nothing comes."""
        return None if self._share.share == 1 else TURN

    def seen(self, data: bytes, header: Header) -> None:
        """A packet that belongs to no connection came through."""
        if begins(data, header):
            self._share.seen()

    def turn(self, now: float) -> None:
        """Set the program anew, if it is time."""
        if not self._share.is_due(now):
            return
        before, dropped = self._share.share, self._count_dropped()
        more = (dropped - self._dropped) % (1 << 32)
        self._dropped = dropped
        if not self._share.decide(now, more):
            return
        share = self._share.share
        if share == 1:
            _log.info("The flood is over: all new connections are let through again.")
            self._drop_all_programs()
            return
        if before == 1:
            _log.info("A flood of packets that begin connections: most are dropped unread.")
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # elsewhere than on Linux we read them all
                _attach(sock, program(share))

    def _count_dropped(self) -> int:
        """So far; 0 for ever where the system does not tell, which then reads them all."""
        count = 0
        for sock in self._sockets:
            with contextlib.suppress(OSError, struct.error):
                told = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
                count += _MEMINFO.unpack(told)[-1]
        return count

    def _drop_all_programs(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def program(share: float) -> bytes:
    """It lets through that share of the packets that `begins` means, and all others."""
    first = UDP_HEADER
    version, id_length = first + 1, first + 5
    return b"".join((
        statement(LOAD_BYTE, first),
        jump(JUMP_ANY_BIT, LONG_HEADER, 0, 14),  # a short header: keep
        statement(LOAD_WORD, version),
        jump(JUMP_EQUAL, VERSION_1, 0, 9),  # another version: draw
        statement(LOAD_BYTE, first),
        jump(JUMP_ANY_BIT, TYPE_BITS, 7, 0),  # no Initial: draw
        statement(LOAD_BYTE, id_length),
        statement(TO_X),
        statement(LOAD_BYTE_AT_X, id_length + 1),  # the length of the second ID
        statement(ADD_X),
        statement(TO_X),
        statement(LOAD_BYTE_AT_X, id_length + 2),  # the length of the token
        jump(JUMP_EQUAL, 0, 0, 3),  # there is one: keep
        statement(LOAD_WORD, RANDOM_WORD),
        jump(JUMP_AT_LEAST, min(int(share * (1 << 32)), WHOLE), 0, 1),
        statement(RETURN, 0),
        statement(RETURN, WHOLE),
    ))  # fmt: skip


def _attach(sock: socket.socket, instructions: bytes) -> None:
    """Raises OSError."""
    kept = array("B", instructions)
    address, size = kept.buffer_info()
    described = struct.pack("@HP", size // INSTRUCTION_SIZE, address)  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
