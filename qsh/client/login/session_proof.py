"""The host's word for the session identifier, by which agents know where they are used."""

from qsh import log
from qsh.auth.agent import session_bind
from qsh.errors import DecodeError, RequestError
from qsh.net.connection import Connection
from qsh.wire.codec import decode_body
from qsh.wire.global_messages import SessionProof as Answer
from qsh.wire.global_messages import SessionProve

_log = log.logger("agent")


class SessionProof:
    """Asked for when it is needed for the first time, since it costs a round trip."""

    def __init__(self, connection: Connection, host_key: bytes, session_id: bytes) -> None:
        self._connection = connection
        self._host_key = host_key
        self._session_id = session_id
        self._signature: bytes | None = None

    async def agent_binding(self, *, is_forwarding: bool) -> bytes:
        """The message that binds a conversation with an agent to this host. From a server that
        gives no signature it has none: an agent then knows no more than that it is forwarded.
        Raises NetworkError."""
        if self._signature is None:
            self._signature = await self._ask()
        return session_bind(
            self._host_key, self._session_id, self._signature, is_forwarding=is_forwarding
        )

    async def _ask(self) -> bytes:
        try:
            answer = await self._connection.request(SessionProve())
            return decode_body(Answer, answer).signature
        except (RequestError, DecodeError) as error:
            _log.debug1("no proof of the session: %s", error)
            return b""
