"""The way back to a session without its user's hands: PROTOCOL.md section 5, "Back to a session".

A key for one session, made when the session is there and kept in memory only. It signs nothing but
the identifier of a connection to that session's host.
"""

import asyncio
from collections.abc import Callable

from qsh import log
from qsh.auth.tickets import new_ticket_key, ticket_data
from qsh.client.host.proofs import HostProof
from qsh.errors import RequestError
from qsh.net.connection import Connection
from qsh.wire.session_messages import TicketKeyRequest
from qsh.wire.userauth_messages import TicketRequest

PATIENCE = 1.0
"""Seconds between looks whether the session is kept. What is over sooner needs no ticket."""

LOOKS = 30

_log = log.logger("resume")


class Ticket:
    """For one session; `number` gives its number once the server keeps it, and nothing before."""

    def __init__(self, number: Callable[[], bytes]) -> None:
        self._number = number
        self._key_blob = b""
        self._sign: Callable[[bytes], bytes] = bytes
        self.is_offered = False
        """Whether the server may know the key: it has been told, and has not said no."""

    async def offer(self, connection: Connection) -> None:
        """After a login on this connection: have the server know the key."""
        for _ in range(LOOKS):
            await asyncio.sleep(PATIENCE)
            if self._number():
                break
        else:
            return
        if not self._key_blob:
            self._key_blob, self._sign = new_ticket_key()
        self.is_offered = True
        try:
            await connection.request(TicketKeyRequest(self._number(), self._key_blob))
        except RequestError as error:
            _log.debug1("no ticket for the session: %s", error)
            self.is_offered = False

    def request(self, proof: HostProof, user: str) -> TicketRequest:
        """The login request for this connection."""
        session, host_key = self._number(), proof.key.blob
        data = ticket_data(proof.session_id, user, session, self._key_blob, host_key)
        return TicketRequest(session, self._key_blob, host_key, self._sign(data))
