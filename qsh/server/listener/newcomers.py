"""Who may begin a connection: address validation, MaxStartups, limits per source.

Decided by the listener from the first packet of a stranger, before anything is forked. Pure but
for the entropy that it is given: time is a parameter.
"""

import hmac
import os
from dataclasses import dataclass

from qsh.config.server_settings import ServerSettings
from qsh.log import logger
from qsh.quic.events import Address
from qsh.server.listener import retry
from qsh.server.listener.cid_router import (
    CONNECTION_ID_LENGTH,
    MAX_CONNECTION_ID,
    MIN_INITIAL_DATAGRAM,
    VERSION_1,
    Header,
    initial_token,
    version_negotiation,
)
from qsh.server.listener.connection_ids import ServerKeys
from qsh.server.listener.limits import RateLimit, Startups
from qsh.server.listener.link import LOGGED_IN
from qsh.server.listener.penalties import Penalties, offence_of
from qsh.server.listener.retry import Validated

_log = logger("listener")

ANSWERS_PER_SECOND, ANSWERS_AT_ONCE = 200.0, 400.0
"""Version Negotiation and stateless reset packets: enough for real clients."""
LINES_PER_SECOND, LINES_AT_ONCE = 10.0, 100.0
"""In the log, of connections that were dropped."""
RETRIES_PER_SECOND, RETRIES_AT_ONCE = 2000.0, 2000.0
"""Under a flood a client must find its way among the forged; a Retry is far smaller than what it
answers."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may come. `validated` tells what a Retry before has shown."""

    validated: Validated | None


class Newcomers:
    """The rules and their counts."""

    def __init__(self, settings: ServerSettings, keys: ServerKeys) -> None:
        self._keys = keys
        bits = settings.per_source_net_block_size
        self.startups = Startups(settings.max_startups, settings.per_source_max_startups, *bits)
        self._penalties = Penalties(
            settings.per_source_penalties, settings.per_source_penalty_exempt_list, *bits
        )
        self._lines = RateLimit(LINES_PER_SECOND, LINES_AT_ONCE)
        self._answers = RateLimit(ANSWERS_PER_SECOND, ANSWERS_AT_ONCE)
        self._retries = RateLimit(RETRIES_PER_SECOND, RETRIES_AT_ONCE)

    def may_answer(self, now: float) -> bool:
        """Whether one more packet may be sent to somebody who has no connection."""
        return self._answers.allows(now)

    def judge(
        self, data: bytes, header: Header, remote: Address, now: float, wall_clock: float,
        *, is_validated: bool = False,
    ) -> Admitted | bytes:  # fmt: skip
        """Admitted, or the answer to the packet: empty for none. `now` is monotonic;
        `is_validated` says that the address is known to be the sender's."""
        if len(data) < MIN_INITIAL_DATAGRAM:
            _log.debug2("packet of %d bytes is too short to begin", len(data))
        elif header.version not in (0, VERSION_1):
            if self.may_answer(now):
                return version_negotiation(header, os.urandom(1)[0])
        elif header.is_initial and _is_long_enough(header):
            return self._judge_initial(data, header, remote, now, wall_clock,
                                       is_validated=is_validated)  # fmt: skip
        else:
            _log.debug2("packet begins no connection")
        return b""

    def _judge_initial(
        self, data: bytes, header: Header, remote: Address, now: float, wall_clock: float,
        *, is_validated: bool,
    ) -> Admitted | bytes:  # fmt: skip
        token = initial_token(data, header)
        if token is None:
            return b""
        valid = None
        if token:
            key = self._keys.token
            valid = retry.check_token(key, token, remote, header.destination, wall_clock)
        refusal = self._penalties.refusal(remote[0], now)
        if refusal:
            self._drop(remote, refusal, now)
            return b""
        if valid is None and not is_validated and self.startups.wants_retry:
            return self._retry(header, remote, wall_clock) if self._retries.allows(now) else b""
        luck = hmac.digest(self._keys.token, header.destination, "sha256")[0] * 100 // 256
        refusal = self.startups.refusal(remote[0], luck)
        if refusal:
            self._drop(remote, f"past {refusal}", now)
            return b""
        return Admitted(valid)

    def _drop(self, remote: Address, why: str, now: float) -> None:
        """In sshd's words, and not for each of a flood."""
        self.startups.dropped += 1
        if self._lines.allows(now):
            _log.info("drop connection #%d from [%s]:%d %s", len(self.startups), *remote, why)

    def take_news(self, number: int, host: str, told: bytes, now: float, *, is_real: bool) -> None:
        """What the monitor of a connection tells of it. `is_real` is whether the client has shown
        to receive at that address."""
        offence = offence_of(told)
        if offence is not None:
            if is_real:
                self._penalties.add(host, offence, now)
        elif told in (b"", LOGGED_IN):
            self.startups.remove(number)

    def _retry(self, header: Header, remote: Address, wall_clock: float) -> bytes:
        source = os.urandom(CONNECTION_ID_LENGTH)
        nonce = os.urandom(retry.NONCE_LENGTH)
        token = retry.mint_token(
            self._keys.token, remote, header.destination, source, wall_clock, nonce
        )
        return retry.retry_packet(header, source, token, nonce[0])


def _is_long_enough(header: Header) -> bool:
    """The attestation rests on the client's connection ID: too short a one is no challenge."""
    return CONNECTION_ID_LENGTH <= len(header.destination) <= MAX_CONNECTION_ID
