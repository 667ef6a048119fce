"""What a worker may say to its monitor about session tickets, and the answer. Data only; the
registries are in monitor.messages."""

from dataclasses import dataclass

from qsh.wire.codec import message


@message(18)
@dataclass(frozen=True, slots=True)
class WriteTicket:
    """The client's key for coming back to this session, which it has on this connection."""

    session: bytes
    key_blob: bytes


@message(116)
@dataclass(frozen=True, slots=True)
class TicketWritten:
    """To WriteTicket: whether the key will do."""

    written: bool


REQUESTS = (WriteTicket,)
REPLIES = (TicketWritten,)
