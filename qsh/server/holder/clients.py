"""The clients of a session, by the names they gave themselves: how far the input of each has come,
and who was sent away by whom. Pure."""

from dataclasses import dataclass

from qsh.errors import DecodeError
from qsh.server.holder.messages import Reason

MAX_CLIENTS = 64
"""Remembered; of more, those that came first are forgotten, and can resume no more."""


@dataclass(slots=True)
class _Client:
    received: int = 0
    written: int = 0
    sent_away_by: str | None = None


class Clients:
    """Of one session."""

    def __init__(self) -> None:
        self._clients: dict[bytes, _Client] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody was ever here."""
        return not self._clients

    def may_not_resume(self, name: bytes) -> tuple[Reason, str] | None:
        """Why a client may not go on, and who sent it away; None if it may."""
        client = self._clients.get(name)
        if client is None:
            return None if self.is_empty else (Reason.GONE, "")
        if client.sent_away_by is not None:
            return Reason.TAKEN_OVER, client.sent_away_by
        return None

    def come(self, name: bytes) -> int:
        """A client is here; how many bytes of input it has sent."""
        client = self._clients.setdefault(name, _Client())
        client.sent_away_by = None
        while len(self._clients) > MAX_CLIENTS:
            del self._clients[next(iter(self._clients))]
        return client.received

    def taken_over(self, name: bytes, origin: str) -> None:
        """All but this one are sent away by it."""
        for other, client in self._clients.items():
            if other != name:
                client.sent_away_by = origin

    def received(self, name: bytes, offset: int, data: bytes, window: int) -> bytes:
        """What is new of the input that came. Raises DecodeError for a gap, or too much."""
        client = self._clients.setdefault(name, _Client())
        if offset > client.received:
            raise DecodeError("data out of order")
        new = data[client.received - offset :]
        client.received += len(new)
        if client.received - client.written > window:
            raise DecodeError("data beyond the window")
        return new

    def has_sent(self, name: bytes) -> int:
        """How many bytes of input came from this client."""
        client = self._clients.get(name)
        return client.received if client is not None else 0

    def passed(self, name: bytes, count: int) -> int:
        """So much came and went to the program at once; how much it is in all."""
        self._clients.setdefault(name, _Client()).received += count
        return self.wrote(name, count)

    def wrote(self, name: bytes, count: int) -> int:
        """So much was written to the program; how much it is in all."""
        client = self._clients.setdefault(name, _Client())
        client.written += count
        return client.written
